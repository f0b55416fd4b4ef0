"""A genuine PyTorch model is registered through the Python SDK, fetched by its alias and predicts the same.

A program of its own, run by the Python that Debian's python3-torch belongs to: what the tests' own environment has would
not fit that.
"""

import sys
from pathlib import Path

import torch

import cairn


def trained() -> torch.nn.Module:
    """Fits a small net to a curve."""
    torch.manual_seed(7)
    inputs = torch.linspace(-1, 1, 64).unsqueeze(1)
    model = torch.nn.Sequential(torch.nn.Linear(1, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(100):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(model(inputs), inputs**2)
        loss.backward()
        optimizer.step()
    return model.eval()


def main(url: str, folder: Path) -> None:
    model, probe = trained(), torch.linspace(-2, 2, 9).unsqueeze(1)
    torch.jit.script(model).save(str(folder / "net.pt"))
    # The key comes from the environment.
    with cairn.Client(url) as client:
        registry = client.registry
        made = registry.register("net", folder / "net.pt", artifact_type="torchscript", framework="pytorch")
        registry.set_alias("net", "champion", made.version)
        found = registry.by_alias("net", "champion")
        loaded = torch.jit.load(str(registry.download("net", found.version, folder / "back") / "net.pt"))
    assert torch.equal(loaded(probe), model(probe)), "it predicts the same"
    print(f"torch {torch.__version__}: the same {len(probe)} predictions")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
