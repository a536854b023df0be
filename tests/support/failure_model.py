"""All identifiers of the failure model: 86 faults, 33 invariants, 37 kill points."""

FAULTS = {"NET": 10, "API": 6, "ORD": 11, "ACC": 5, "RSK": 5, "TIM": 8, "DAT": 7, "PRC": 7, "SYS": 7, "IPC": 7,
          "CFG": 6, "SEC": 7}  # fmt: skip
KILLS = {"EX": 20, "FD": 4, "WK": 3, "JR": 4, "LA": 4, "DB": 1, "ALL": 1}
WANTED = [
    *(f"F-{group}-{number:02d}" for group, count in FAULTS.items() for number in range(1, count + 1)),
    *(f"I{number}" for number in range(1, 34)),
    *(f"K-{group}-{number:02d}" for group, count in KILLS.items() for number in range(1, count + 1)),
]
