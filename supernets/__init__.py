"""How a decision is carried out with shared weights, and what works on plain modules.

`Supernet(space)` runs any candidate's slots with shared weights: `supernet(images, slots)`;
`supernet.extract(slots)` cuts one out as a plain module.
"""
