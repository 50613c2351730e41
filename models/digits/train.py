#!/usr/bin/env python3
"""Trains the sample network on the drawn digits and writes digits_cnn.onnx.

For maintainers (Debian: python3-torch, python3-onnx); neither the build nor the
demo needs Python.

    build/release/bin/pare-draw-digits -o /tmp/digits && models/digits/train.py /tmp/digits
"""
import os
import sys

import numpy as np
import torch
from torch import nn


def conv(inputs, outputs, kernel, stride=1, groups=1):
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
                         nn.BatchNorm2d(outputs))


class DigitsCnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = conv(1, 16, 3)
        self.down1 = conv(16, 32, 3, 2)
        self.residual1, self.residual2 = conv(32, 32, 3), conv(32, 32, 3)
        self.depthwise, self.pointwise = conv(32, 32, 3, 2, 32), conv(32, 64, 1)
        self.depthwise2, self.pointwise2 = conv(64, 64, 3, 1, 64), conv(64, 96, 1)
        self.head = nn.Linear(96, 10)

    def forward(self, x):
        x = torch.relu(self.down1(torch.relu(self.stem(x))))
        x = torch.relu(x + self.residual2(torch.relu(self.residual1(x))))
        x = torch.relu(self.pointwise(torch.relu(self.depthwise(x))))
        x = torch.relu(self.pointwise2(torch.relu(self.depthwise2(x))))
        return self.head(torch.flatten(nn.functional.adaptive_avg_pool2d(x, 1), 1))


def load(folder, name):
    x = np.fromfile(os.path.join(folder, name + "-images.idx3-ubyte"), np.uint8)[16:].reshape(-1, 1, 28, 28)
    y = np.fromfile(os.path.join(folder, name + "-labels.idx1-ubyte"), np.uint8)[8:]
    return (torch.from_numpy(x).float() / 255 - 0.17) / 0.31, torch.from_numpy(y).long()


def main(folder):
    torch.manual_seed(1)
    torch.set_num_threads(2)
    (x, y), (test_x, test_y) = load(folder, "train"), load(folder, "test")
    model = DigitsCnn()
    print(sum(p.numel() for p in model.parameters()), "parameters")
    epochs, batch = 14, 64
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, epochs=epochs, steps_per_epoch=len(x) // batch)
    for epoch in range(epochs):
        model.train()
        order = torch.randperm(len(x))[: len(x) // batch * batch].reshape(-1, batch)
        for picked in order:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[picked]), y[picked]).backward()
            optimizer.step()
            schedule.step()
        model.eval()
        with torch.no_grad():
            print(epoch, "test accuracy", (model(test_x).argmax(1) == test_y).float().mean().item(), flush=True)
    out = os.path.join(os.path.dirname(os.path.abspath(__file__)), "digits_cnn.onnx")
    torch.onnx.export(model, torch.zeros(1, 1, 28, 28), out, opset_version=13, input_names=["image"],
                      output_names=["logits"], dynamic_axes={"image": {0: "N"}, "logits": {0: "N"}},
                      training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False)


if __name__ == "__main__":
    main(sys.argv[1])
