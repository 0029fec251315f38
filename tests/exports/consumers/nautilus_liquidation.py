"""What a liquidation is, for nautilus_trader: copy this class into your project."""

from nautilus_trader.core.data import Data
from nautilus_trader.model.custom import customdataclass
from nautilus_trader.model.identifiers import InstrumentId


@customdataclass
class RecorderLiquidation(Data):
    """One liquidation as the recorder exports it."""

    instrument_id: InstrumentId = InstrumentId.from_str("NONE.NONE")
    position_side: str = ""
    price: float = 0.0
    quantity: float = 0.0
    notional_usd: float = 0.0
