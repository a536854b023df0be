"""Ends of delivery months against the dates of the exchange's calendar."""

from datetime import date

import pytest

from tbot.domain.expiry import entries_end, last_trade_day


@pytest.mark.parametrize(
    ("broker_id", "last"),
    [  # the table of projectx-gateway.md 9.3, and the month before it
        ("CON.F.US.MNQ.U26", date(2026, 9, 18)),
        ("CON.F.US.MNQ.Z26", date(2026, 12, 18)),
        ("CON.F.US.EP.H27", date(2027, 3, 19)),
        ("CON.F.US.ENQ.U27", date(2027, 9, 17)),
        ("CON.F.US.MES.Z27", date(2027, 12, 17)),
    ],
)
def test_F_TIM_07_equity_index_months_end_on_the_third_friday(broker_id: str, last: date) -> None:
    assert last_trade_day(broker_id) == last
    end = entries_end(broker_id)
    assert end is not None
    assert (last - end).days == 8
    assert end.strftime("%A") == "Thursday"  # where the volume begins to leave


@pytest.mark.parametrize("broker_id", ["CON.F.US.GCE.Z26", "CON.F.US.EU6.Z26", "CON.F.US.XX.Z26", "nonsense", ""])
def test_where_no_formula_holds_the_list_decides(broker_id: str) -> None:
    assert last_trade_day(broker_id) is None
    assert entries_end(broker_id) is None
