"""The regression check: two arms, pairs of fresh launches that are alive together, one verdict.

The order of things: `arms` builds what is compared, `planner` turns time into pairs and says what they can see,
`session` runs the pairs, `validity` refuses what was not measured, `bench.verdict.judge` judges, `ledger`
remembers the noise, `render` shows. Nothing here imports pandas: it lives beside a process that is being measured.
"""
