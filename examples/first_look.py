import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="A first look at a record")


@app.cell
def _():
    import marimo as mo

    mo.md(
        """
        # A first look at a record

        What was recorded, how late it arrived, and what happened. Every cell runs a canned query
        (`recorder query --list`) or SQL; when you change a cell, the others are updated.

        Open this notebook with `marimo edit examples/first_look.py`, in the directory that contains
        `data`. If you have no record yet, run `recorder ingest --data-dir data/sample` and set the
        directory below to `data/sample`: a sample recorded from simulated services.
        """
    )
    return (mo,)


@app.cell
def _():
    import os

    import matplotlib.pyplot as plt
    from matplotlib import dates

    import recorder

    return dates, os, plt, recorder


@app.cell
def _(mo, os):
    data_dir = mo.ui.text(
        value=os.environ.get("RECORDER_DATA_DIR", "data"), label="data directory", debounce=True
    )
    data_dir
    return (data_dir,)


@app.cell
def _(data_dir, recorder):
    database = recorder.connect(data_dir.value)  # read-only: capture and ingest are not disturbed

    def query(name, **parameters):
        return recorder.query(name, data_dir=data_dir.value, **parameters)

    return database, query


@app.cell
def _(mo):
    mo.md(
        """
        ## Is the record complete?

        `gap_seconds` is the time in gaps of a line, whatever their cause; `uptime` is the share of
        the rest. Check this first: events that were not recorded are missing in all results below.
        """
    )
    return


@app.cell
def _(mo, query):
    coverage = query("coverage")
    mo.ui.table(coverage, selection=None)
    return (coverage,)


@app.cell
def _(mo):
    mo.md(
        """
        ## How late did events arrive?

        Milliseconds from the event to our socket, per channel. p50 is the usual delay; p99 is
        typical of busy moments. The values include the error of our clock.
        """
    )
    return


@app.cell
def _(plt, query):
    latency = query("latency_percentiles")
    total = [row for row in latency.to_pylist() if row["hop"] == "total"]

    def draw_latency():
        figure, axes = plt.subplots(figsize=(9, 0.8 + 0.32 * len(total)), layout="constrained")
        names = [f"{row['feed']} · {row['channel']}" for row in total]
        for percentile, marker in (("p50", "o"), ("p90", "s"), ("p99", "^")):
            axes.scatter([row[percentile] for row in total], names, marker=marker, label=percentile)
        axes.invert_yaxis()
        axes.set(xscale="log", xlabel="event to socket (ms)")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("{x:g}")
        axes.grid(axis="x", alpha=0.3)
        axes.legend(frameon=False, ncols=3, loc="lower right", bbox_to_anchor=(1, 1))
        return figure

    draw_latency()
    return (latency,)


@app.cell
def _(mo):
    mo.md("""## What happened?""")
    return


@app.cell
def _(mo, query):
    events = query("event_history", limit=1000)
    mo.ui.table(events, selection=None, page_size=8)
    return (events,)


@app.cell
def _(database, mo):
    liquidations = database.sql(
        """
        SELECT time_bucket(INTERVAL 5 SECONDS, recv_time) AS time,
               coalesce(position_side, 'unknown') AS side,
               sum(notional_usd) AS usd, count(*) AS count
        FROM liquidations GROUP BY ALL ORDER BY ALL
        """
    ).to_arrow_table()
    mo.md("## Liquidations\n\nDollars of closed positions, longs above, shorts below, every 5 s.")
    return (liquidations,)


@app.cell
def _(dates, liquidations, plt):
    def draw_liquidations():
        figure, axes = plt.subplots(figsize=(9, 3.4), layout="constrained")
        rows = liquidations.to_pylist()
        for side, sign in (("long", 1), ("short", -1)):
            closed = [row for row in rows if row["side"] == side]
            times = [row["time"] for row in closed]
            axes.bar(times, [sign * (row["usd"] or 0) for row in closed], 4 / 86400, label=side)
        axes.axhline(0, color="black", linewidth=0.8)
        axes.xaxis.set_major_formatter(dates.DateFormatter("%H:%M:%S", tz="UTC"))
        axes.set(xlabel="receive time (UTC)", ylabel="closed positions (USD)")
        axes.legend(frameon=False)
        return figure

    draw_liquidations()
    return


@app.cell
def _(mo, query):
    funding = query("funding_rates")
    spread = query("funding_spread", limit=10)
    mo.vstack(
        [
            mo.md(
                "## Funding\n\nThe latest rate per venue, and the widest spreads between two"
                " venues: go short where the rate is high, long where it is low."
            ),
            mo.ui.table(spread, selection=None),
        ]
    )
    return funding, spread


@app.cell
def _(funding, plt):
    def draw_funding():
        rows = [row for row in funding.to_pylist() if row["annualised"] is not None]
        symbols = list(dict.fromkeys(row["symbol"] for row in rows))[:20]
        figure, axes = plt.subplots(figsize=(9, 1 + 0.3 * len(symbols)), layout="constrained")
        for exchange in sorted({row["exchange"] for row in rows}):
            shown = [r for r in rows if r["exchange"] == exchange and r["symbol"] in symbols]
            places = [symbols.index(row["symbol"]) for row in shown]
            axes.scatter([100 * row["annualised"] for row in shown], places, label=exchange)
        axes.set_yticks(range(len(symbols)), symbols)
        axes.invert_yaxis()
        axes.set(xlabel="funding, annualised (%)")
        axes.grid(axis="x", alpha=0.3)
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
        return figure

    draw_funding()
    return


@app.cell
def _(database, mo):
    # feed, connection and seq of a row identify its raw frame.
    frame = database.sql(
        """
        SELECT l.recv_time, l.symbol, l.notional_usd, r.text
        FROM liquidations l JOIN raw r USING (feed, connection, seq)
        WHERE r.kind = 'text'
        ORDER BY l.notional_usd DESC NULLS LAST LIMIT 1
        """
    ).to_arrow_table()
    mo.vstack([mo.md("## The raw frame of the largest liquidation"), mo.ui.table(frame)])
    return (frame,)


if __name__ == "__main__":
    app.run()
