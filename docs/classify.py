"""Which class is on a photo? Needs onnxruntime, numpy and Pillow, nothing of pareto-nas.

python classify.py FOLDER PHOTO        FOLDER holds card.json and model.onnx
"""

import json
import os
import sys
from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when onnxruntime is imported
import numpy as np
import onnxruntime
from PIL import Image, ImageOps

folder, photo = Path(sys.argv[1]), sys.argv[2]
card = json.loads((folder / "card.json").read_text())
if "task" in card:
    sys.exit(f"the card is of task '{card['task']}', and only classes are named here")
rule = card["input"]
height, width = rule["shape"][-2:]

# What the card's "resize" says.
image = ImageOps.exif_transpose(Image.open(photo, formats=["JPEG", "PNG", "WEBP"]))
if image.mode.startswith("I"):  # 16 bits
    black, white = rule.get("ranges", {}).get("16-bit", (0, 65535))
    values_HW = np.asarray(image).clip(black, white) - black
    image = Image.fromarray(np.rint(values_HW * (255 / (white - black))).astype(np.uint8))
elif "A" in image.getbands() or "transparency" in image.info:
    image = image.convert("RGBA")
    image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
image = image.convert("RGB" if len(rule["mean"]) == 3 else "L")
part_width = min(image.width, max(1, int(image.height * width / height + 0.5)))
part_height = min(image.height, max(1, int(image.width * height / width + 0.5)))
left, top = (image.width - part_width) // 2, (image.height - part_height) // 2
image = image.crop((left, top, left + part_width, top + part_height))
image = image.resize((width, height), Image.Resampling.BILINEAR)

pixels_HWC = np.atleast_3d(np.asarray(image, np.float32))
x_HWC = (pixels_HWC / rule["scale"] - rule["mean"]) / rule["std"]
session = onnxruntime.InferenceSession(folder / "model.onnx")
(logits_NK,) = session.run(None, {rule["name"]: x_HWC.transpose(2, 0, 1)[None].astype(np.float32)})
shares_K = np.exp(logits_NK[0] - logits_NK[0].max())
shares_K /= shares_K.sum()
for k in shares_K.argsort()[::-1][:3]:
    print(f"{shares_K[k]:.2f}  {card['classes'][k]}")
