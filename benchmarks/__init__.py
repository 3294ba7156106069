"""What the README's speed claims are measured with: `python -m benchmarks` from the project root, in ./venv."""
