"""The benchmark's frames: 310 bytes of plausible JSON, with a number and a time at fixed offsets.

The offsets are fixed so that a record of millions of frames is checked by slicing, not parsing.
"""

from collections.abc import Iterator

PAYLOAD_BYTES = 310
BLOCK_FRAMES = 100

_HEAD = b'{"id":"'
_MIDDLE = b'","sent_ns":'
_TAIL = (
    b',"type":"liquidation","data":{"exchange":"binance","symbol":"BTCUSDT","base":"BTC",'
    b'"quote":"USDT","side":"SELL","position":"long","order_type":"LIMIT","price":"64250.10",'
    b'"average_price":"64251.35","quantity":"0.125","usd_value":8031.42,"note":"'
)
_END = b'"}}'
_NUMBER_DIGITS = 10
_SENT_DIGITS = 19
_PADDING = b"." * (
    PAYLOAD_BYTES - len(_HEAD + _MIDDLE + _TAIL + _END) - _NUMBER_DIGITS - _SENT_DIGITS
)

NUMBER = slice(len(_HEAD), len(_HEAD) + _NUMBER_DIGITS)
SENT = slice(NUMBER.stop + len(_MIDDLE), NUMBER.stop + len(_MIDDLE) + _SENT_DIGITS)

# Unmasked final text frame, length in the next two bytes (RFC 6455, 5.2).
HEADER = b"\x81\x7e" + PAYLOAD_BYTES.to_bytes(2, "big")

_TEMPLATE = _HEAD + b"%s" + _MIDDLE + b"%019d" + _TAIL + _PADDING + _END
_FRAME_TEMPLATE = HEADER + _HEAD + b"%010d" + _MIDDLE + b"%019d" + _TAIL + _PADDING + _END
_ANY_TIME = 1_700_000_000_000_000_000
_BLOCK_MARK = b"########"


def stamped_frame(number: int, sent_ns: int) -> bytes:
    """Return one complete frame, including its header."""
    return _FRAME_TEMPLATE % (number, sent_ns)


def blocks(frames: int, header: bytes = HEADER) -> Iterator[bytes]:
    """Yield frames 0 … `frames` - 1 in blocks of 100; with `header=b""` only their payloads.

    Within a block only the last two digits of the number differ, so one `replace` makes the next
    block: the sender reaches several million frames/s and never limits the measurement.
    """
    if frames % BLOCK_FRAMES:
        raise ValueError(f"frames must be a multiple of {BLOCK_FRAMES}, not {frames}")
    template = b"".join(
        header + _TEMPLATE % (_BLOCK_MARK + b"%02d" % index, _ANY_TIME)
        for index in range(BLOCK_FRAMES)
    )
    for block in range(frames // BLOCK_FRAMES):
        yield template.replace(_BLOCK_MARK, b"%08d" % block)
