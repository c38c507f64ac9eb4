"""The comparison of two revisions: two arms, pairs of fresh launches that are alive together, one verdict.

`regression` is the whole comparison behind one call. In their order: `request` and `arms` build what is compared,
`planner` turns time into pairs and says what they can see, `session` asks for the pairs, `validity` refuses what was no
measurement, `bench.verdict.judge` judges, `ledger` remembers the noise, `conclude` adds what would settle an open
question, `sentences` words the verdict, and `render` and `page` show it. Nothing here imports pandas, because it lives
beside a process that is being measured.
"""
