"""The half that measures: plan -> process, monitor, machine -> runner -> store. No pandas, no matplotlib."""
