"""The style sheet of the roadmap's map; colours and type come from the card's or the page's.

On a wide screen assignments that may be taken side by side stand side by side, joined by lines; on a narrow
one, and on paper, they follow one another. Without any of it (an untrusted notebook) it is a list.
"""

from __future__ import annotations

__all__ = ["MAP_CSS"]

MAP_CSS = """
.ag-map{max-width:62rem;container-type:inline-size}
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
.ag-strip{margin:0 0 1.2rem}
.ag-map ol.ag-dots{list-style:none;margin:0;padding:0;display:grid;isolation:isolate;
 grid-template-columns:repeat(var(--ag-steps),minmax(0,1fr));grid-template-rows:repeat(var(--ag-lanes),6.4rem)}
.ag-map .ag-dot{position:relative;margin:0;display:flex;align-items:center;justify-content:center}
.ag-map .ag-dot svg{position:absolute;left:-50%;top:-1.7rem;width:100%;height:100%;max-width:none;
 overflow:visible;z-index:-1;color:var(--ag-line)}
.ag-map .ag-dot a,.ag-map .ag-dot>span{position:relative;display:flex;flex-direction:column;
 align-items:center;height:5.6rem;width:100%;text-decoration:none;color:inherit}
.ag-ring{display:grid;place-items:center;width:2.2rem;height:2.2rem;border-radius:50%;flex:none;
 background:conic-gradient(var(--ag-good) var(--ag-share),var(--ag-line) 0)}
.ag-disc{display:grid;place-items:center;width:1.7rem;height:1.7rem;border-radius:50%;
 background:var(--ag-soft);color:var(--ag-idle);font-weight:700}
.ag-dot.ag-done .ag-disc{color:var(--ag-good)}
.ag-dot.ag-started .ag-disc,.ag-dot.ag-checked .ag-disc{color:var(--ag-open)}
.ag-dot.ag-here .ag-ring{outline:3px solid var(--ag-link);outline-offset:2px}
.ag-name-of{font-size:.71rem;font-size:min(.71rem,1.4cqw);line-height:1.25;text-align:center;margin-top:.35rem;hyphens:auto}
.ag-dot.ag-coming .ag-name-of{color:var(--ag-muted)}
.ag-dot a:hover .ag-name-of{text-decoration:underline}
.ag-unseen{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
@container (max-width:44rem){.ag-strip{display:none}}
@media (max-width:44rem){.ag-strip{display:none}.ag-map .ag-stops{grid-template-columns:minmax(0,1fr)}
 .ag-map .ag-stop{grid-column:1!important;grid-row:auto!important}
 .ag-side .ag-station{margin:0}.ag-rail .ag-curve{display:none}}
@media (min-width:44.01rem){.ag-rail .ag-plain{display:none}}
@media print{.ag-station{break-inside:avoid}.ag-map .ag-book{background:none}.ag-map .ag-rail{height:1rem}}
"""
