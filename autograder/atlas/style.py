"""The style sheet of the roadmap's map; colours and type come from the card's or the page's.

On a wide screen assignments that may be taken side by side stand side by side, joined by lines; on a narrow
one, and on paper, they follow one another. Without any of it (an untrusted notebook) it is a list.
"""

from __future__ import annotations

__all__ = ["MAP_CSS"]

MAP_CSS = """
.ag-map{max-width:62rem}
.ag-map ol.ag-stops,.ag-map ul.ag-books{list-style:none;margin:0;padding:0}
.ag-map .ag-stops{display:grid;grid-template-columns:repeat(var(--ag-lanes),minmax(0,1fr))}
.ag-map .ag-stop{display:flex;flex-direction:column;margin:0;padding:0}
.ag-side .ag-station{margin:0 .3rem}
.ag-map .ag-rail{display:block;height:1.5rem;width:100%;overflow:visible;color:var(--ag-idle)}
.ag-station{flex:1;border:1px solid var(--ag-line);border-top:4px solid var(--ag-idle);border-radius:10px;
 padding:.8rem 1rem 1rem}
.ag-station.ag-done{border-top-color:var(--ag-good)}
.ag-station.ag-checked,.ag-station.ag-started{border-top-color:var(--ag-open)}
.ag-station.ag-coming{border-style:dashed;border-top:1px dashed var(--ag-line);padding:.5rem 1rem .6rem}
.ag-station.ag-coming .ag-goal{margin:.15rem 0 0;color:var(--ag-muted)}
.ag-station.ag-coming details{color:var(--ag-muted);font-size:.94em}
.ag-map .ag-station.ag-here{border:2px solid var(--ag-link)}
.ag-stop-head{display:flex;flex-wrap:wrap;gap:.2rem .8rem;align-items:baseline}
.ag-map .ag-stop-head h2,.ag-map .ag-stop-head p{font-size:1.15em;font-weight:650;margin:0;line-height:1.3}
.ag-stop-head .ag-number{margin-left:auto;color:var(--ag-muted)}
.ag-map .ag-goal{margin:.25rem 0 .5rem}
.ag-map .ag-way{margin:.6rem 0 0;color:var(--ag-muted);font-size:.94em}
.ag-map .ag-books{display:grid;
 grid-template-columns:repeat(auto-fit,minmax(min(100%,15.5rem),1fr));gap:.6rem}
.ag-map .ag-book{background:var(--ag-soft);border:1px solid var(--ag-line);border-radius:8px;margin:0;
 padding:.55rem .8rem .65rem}
.ag-map .ag-book.ag-here{border:2px solid var(--ag-link)}
.ag-map .ag-book p{margin:.15rem 0}
.ag-map .ag-book .ag-topics{color:var(--ag-muted);font-size:.88em;line-height:1.4}
.ag-map .ag-book progress{width:100%;max-width:24rem;height:.6rem;
 vertical-align:middle;accent-color:var(--ag-good)}
.ag-map .ag-book-title{font-weight:600;display:flex;flex-wrap:wrap;gap:.1rem .7rem;align-items:baseline}
.ag-map .ag-later{color:var(--ag-muted);margin:.3rem 0 0;font-size:.94em}
.ag-badge.ag-done{color:var(--ag-good);background:var(--ag-good-bg)}
.ag-badge.ag-checked,.ag-badge.ag-started{color:var(--ag-open);background:var(--ag-open-bg)}
.ag-map .ag-next{
 border:2px solid var(--ag-link);border-radius:10px;padding:.7rem 1rem;margin:1rem 0 1.4rem}
.ag-map .ag-next h2,.ag-map .ag-next p{margin:.1rem 0}
.ag-map .ag-next-title{font-weight:650;font-size:1.1em}
.ag-map code{font-size:.92em;overflow-wrap:anywhere}
@media (max-width:44rem){.ag-map .ag-stops{grid-template-columns:minmax(0,1fr)}
 .ag-map .ag-stop{grid-column:1!important;grid-row:auto!important}
 .ag-side .ag-station{margin:0}.ag-rail .ag-curve{display:none}}
@media (min-width:44.01rem){.ag-rail .ag-plain{display:none}}
@media print{.ag-station{break-inside:avoid}.ag-map .ag-book{background:none}.ag-map .ag-rail{height:1rem}}
"""
