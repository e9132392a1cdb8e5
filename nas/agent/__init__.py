"""What runs on a device so that files can be timed there from elsewhere: `nas agent`.

Needs onnxruntime, numpy and the standard library. The protocol is in `nas/targets/_agent.py`.
"""
