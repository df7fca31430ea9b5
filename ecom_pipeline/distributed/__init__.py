"""Training one network on several machines: each worker reads its own shards, gradients are averaged at every step.

What belongs here: workers as a group, jobs as folders, checkpoints, and what starts workers and starts them again.
The training loops are those of `forecasting` and `recommending`; on one machine they run with a group of one.
"""
