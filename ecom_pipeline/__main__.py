"""`python -m ecom_pipeline` is the command `ecom-pipeline`."""

from ecom_pipeline.cli import main

if __name__ == "__main__":
    main()
