"""The style sheets of the card and of the page, and the two palettes they share.

Every pair of text and background has a contrast of at least 4.5 to 1 in both palettes: tests/test_render.py
computes it.
"""

from __future__ import annotations

__all__ = ["CARD_CSS", "PAGE_CSS"]

_LIGHT = """
--ag-text:#1f2328;--ag-muted:#57606a;--ag-line:#d0d7de;--ag-soft:#f6f8fa;--ag-link:#0550ae;
--ag-good:#0f5d2b;--ag-good-bg:#e3f5e8;--ag-open:#7a4500;--ag-open-bg:#fff1d6;--ag-bad:#9b1321;--ag-bad-bg:#fde9ea;
--ag-idle:#4a535d;--ag-idle-bg:#eceff2;--ag-key:#8a1c5b;--ag-string:#0a4a86;--ag-name:#5a32a3;
"""
_DARK = """
--ag-text:#e6edf3;--ag-muted:#a3adb8;--ag-line:#3b434c;--ag-soft:#1a2028;--ag-link:#8cb9ff;
--ag-good:#7ee2a0;--ag-good-bg:#12301d;--ag-open:#f5c56b;--ag-open-bg:#33270f;--ag-bad:#ffa8a5;--ag-bad-bg:#3a1a1d;
--ag-idle:#c0c9d2;--ag-idle-bg:#2a313a;--ag-key:#f49ac8;--ag-string:#9ecbff;--ag-name:#cbb0ff;
"""

_SHARED = """
.ag-badge{display:inline-block;padding:.1em .6em;border-radius:1em;font-weight:600;white-space:nowrap;
 font-size:.92em;line-height:1.5;color:var(--ag-idle);background:var(--ag-idle-bg)}
.ag-badge.ag-passed{color:var(--ag-good);background:var(--ag-good-bg)}
.ag-badge.ag-not-yet{color:var(--ag-open);background:var(--ag-open-bg)}
.ag-badge.ag-error{color:var(--ag-bad);background:var(--ag-bad-bg)}
.ag-message{border-left:4px solid var(--ag-open);background:var(--ag-soft);padding:.5em .9em;margin:.7em 0;
 border-radius:0 6px 6px 0;overflow-wrap:anywhere}
.ag-message p{margin:.3em 0}
.ag-error>.ag-message{border-color:var(--ag-bad)}
.ag-to-do>.ag-message,.ag-could-not-run>.ag-message{border-color:var(--ag-idle)}
.ag-kind{color:var(--ag-muted);white-space:nowrap}
.ag-pre{white-space:pre-wrap;overflow-wrap:anywhere;overflow:auto}
.ag-options li{margin:.35em 0}
.ag-evidence{color:var(--ag-muted);margin-top:.2em;overflow-wrap:anywhere}
"""

CARD_CSS = f"""
.ag-cards{{{_LIGHT}
 color:var(--jp-content-font-color1,var(--vscode-foreground,var(--ag-text)));
 background:var(--jp-layout-color0,var(--vscode-editor-background,#fff));
 max-width:60em;font-family:var(--jp-content-font-family,system-ui,sans-serif);
 font-size:var(--jp-content-font-size1,14px);line-height:1.5}}
[data-jp-theme-light="false"] .ag-cards,.vscode-dark .ag-cards,.vscode-high-contrast .ag-cards{{{_DARK}}}
@media screen and (prefers-color-scheme:dark){{
 body:not([data-jp-theme-light]):not([class*="vscode"]) .ag-cards{{
 {_DARK} background:#0f141a;color:var(--ag-text)}}}}
.ag-card{{border:1px solid var(--ag-line);border-left:5px solid var(--ag-idle);border-radius:8px;
 padding:.7em 1em;margin:.5em 0}}
.ag-cards p{{margin:.3em 0}}
.ag-card.ag-passed{{border-left-color:var(--ag-good)}}
.ag-card.ag-not-yet{{border-left-color:var(--ag-open)}}
.ag-card.ag-error{{border-left-color:var(--ag-bad)}}
.ag-cards .ag-title{{font-size:1.15em;margin:0}}
.ag-cards .ag-card code,.ag-cards .ag-card pre{{
 font-family:var(--jp-code-font-family,ui-monospace,monospace);font-size:.95em;
 color:inherit;background:none;padding:0}}
.ag-cards .ag-status{{display:flex;flex-wrap:wrap;gap:.3em .8em;align-items:center}}
.ag-card progress{{width:8em;height:.8em;accent-color:var(--ag-good)}}
.ag-card .ag-table{{table-layout:fixed;width:100%;margin:.5em 0;border-collapse:collapse;font-size:1em}}
.ag-card .ag-table caption{{text-align:left;font-weight:600;padding:.2em 0}}
.ag-card .ag-table th,.ag-card .ag-table td{{padding:.35em .8em .35em 0;border:0;
 border-top:1px solid var(--ag-line);background:none;white-space:normal;max-width:none;
 overflow-wrap:anywhere}}
.ag-card .ag-table th:first-child,.ag-card .ag-table td:first-child{{width:9.8em;white-space:nowrap}}
.ag-cards .ag-card .ag-table tbody tr{{background:none}}
.ag-card thead th{{color:var(--ag-muted);font-weight:600}}
.ag-cards .ag-card .ag-table .ag-pre{{background:var(--ag-soft);
 border:1px solid var(--ag-line);border-radius:6px;
 padding:.5em .7em;margin:.3em 0;max-height:22em;line-height:1.45}}
.ag-card summary{{cursor:pointer;color:var(--ag-link);padding:.15em 0}}
.ag-card .ag-hint{{border-left:3px solid var(--ag-line);padding:.1em .9em;margin:.2em 0 .5em}}
.ag-cards .ag-card .ag-hint pre{{background:var(--ag-soft);border:1px solid var(--ag-line);border-radius:6px;
 padding:.5em .7em;white-space:pre-wrap;overflow-wrap:anywhere}}
.ag-card.ag-summary .ag-table th:nth-child(3),.ag-card.ag-summary .ag-table td:nth-child(3){{width:8.5em}}
.ag-cards .ag-note{{color:var(--ag-muted);font-size:.92em}}
{_SHARED}"""

PAGE_CSS = f"""
:root{{color-scheme:light dark;{_LIGHT}--ag-page:#fff;--ag-width:62rem}}
@media screen and (prefers-color-scheme:dark){{:root{{{_DARK}--ag-page:#0f141a}}}}
*{{box-sizing:border-box}}
html{{scroll-padding-top:1rem}}
body{{margin:0;background:var(--ag-page);color:var(--ag-text);font:16px/1.6 system-ui,"Segoe UI",sans-serif;
 overflow-wrap:break-word}}
header,footer{{background:var(--ag-soft);padding:2.2rem max(1.25rem,50vw - var(--ag-width)/2)}}
header{{border-bottom:1px solid var(--ag-line)}}
footer{{border-top:1px solid var(--ag-line);margin-top:3rem;color:var(--ag-muted)}}
main{{max-width:calc(var(--ag-width) + 2.5rem);margin:0 auto;padding:1.6rem 1.25rem 0;outline:0}}
h1{{font-size:2.1rem;line-height:1.2;font-weight:650;letter-spacing:-.01em;margin:.15em 0 .5em}}
h2{{font-size:1.3rem;line-height:1.3;font-weight:650;margin:0;overflow-wrap:anywhere}}
main>section:not(.ag-exercise)>h2{{margin-top:2.6rem}}
h3,.ag-heading{{font-size:1.02rem;font-weight:650;margin:1.4rem 0 .4rem}}
footer h2{{font-size:1.05rem}}
a{{color:var(--ag-link);text-underline-offset:.15em}}
:focus-visible{{outline:3px solid var(--ag-link);outline-offset:2px;border-radius:3px}}
.ag-skip{{position:absolute;left:-999rem}}
.ag-skip:focus{{left:1rem;top:1rem;background:var(--ag-page);padding:.6rem 1rem;
 border:2px solid var(--ag-link)}}
.ag-course{{margin:0;color:var(--ag-muted);font-weight:600}}
.ag-score{{display:flex;flex-wrap:wrap;align-items:center;gap:.5rem 1rem;margin:0;font-size:1.1rem}}
.ag-score meter{{width:16rem;max-width:100%;height:1.3rem}}
.ag-late{{margin:.6rem 0 0}}
.ag-next{{margin:0 0 1.4rem;padding:.8rem 1.1rem;background:var(--ag-idle-bg);border-radius:10px}}
code,pre{{font-family:ui-monospace,"DejaVu Sans Mono",monospace;font-size:.88em}}
pre code{{font-size:1em}}
math{{font-size:1.08em}}
table{{width:100%;border-collapse:collapse;margin:.6rem 0}}
caption{{text-align:left;font-weight:650;padding:.3rem 0}}
th,td{{text-align:left;vertical-align:top;padding:.55rem 1rem .55rem 0;border-top:1px solid var(--ag-line);
 overflow-wrap:anywhere}}
th{{color:var(--ag-muted);font-weight:600}}
thead th{{overflow-wrap:normal;border-top:0;padding-top:.2rem;padding-bottom:.3rem;font-size:.92rem}}
tbody th{{color:inherit;font-weight:400}}
.ag-summary{{margin-bottom:2rem}}
.ag-summary caption{{font-size:1.3rem}}
.ag-summary td,.ag-summary th{{line-height:1.5}}
.ag-number{{white-space:nowrap;font-variant-numeric:tabular-nums}}
.ag-name{{white-space:nowrap}}
.ag-look{{width:50%}}
.ag-table{{table-layout:fixed}}
.ag-table th:first-child,.ag-table td:first-child{{width:9.5rem}}
.ag-exercise table caption{{color:var(--ag-muted);font-size:.92rem}}
.ag-exercise{{border:1px solid var(--ag-line);border-left:4px solid var(--ag-idle);border-radius:12px;
 padding:1.2rem 1.4rem;margin:1.2rem 0}}
.ag-exercise.ag-passed{{border-left-color:var(--ag-good)}}
.ag-exercise.ag-not-yet{{border-left-color:var(--ag-open)}}
.ag-exercise.ag-error{{border-left-color:var(--ag-bad)}}
.ag-head{{display:flex;flex-wrap:wrap;gap:.3rem .9rem;align-items:center;margin-bottom:.4rem}}
.ag-head .ag-number{{margin-left:auto;color:var(--ag-muted);font-size:.95rem}}
.ag-comment{{border-left:4px solid var(--ag-name);background:var(--ag-soft);padding:.5rem .9rem;
 margin:.7rem 0;border-radius:0 6px 6px 0}}
.ag-comment p{{margin:.3rem 0}}
pre{{background:var(--ag-soft);border:1px solid var(--ag-line);border-radius:8px;padding:.8rem 1rem;
 margin:.5rem 0;overflow:auto;line-height:1.5}}
.ag-code{{white-space:pre-wrap;overflow-wrap:anywhere}}
details{{margin:.15rem 0}}
summary{{cursor:pointer;color:var(--ag-link);padding:.3rem 0;min-height:24px}}
summary:hover{{text-decoration:underline;text-underline-offset:.15em}}
.ag-text{{max-width:46rem}}
.ag-text ul,.ag-text ol{{padding-left:1.4rem}}
.ag-text li{{margin:.3rem 0}}
details>.ag-text{{border-left:2px solid var(--ag-line);padding-left:1.1rem;margin:.4rem 0 .8rem}}
figure{{margin:1rem 0}}
figure img{{display:block;max-width:100%;height:auto;background:#fff;border:1px solid var(--ag-line);
 border-radius:8px;padding:.4rem}}
figcaption{{color:var(--ag-muted);font-size:.95rem;margin-top:.4rem;max-width:46rem}}
.ag-attempts{{width:auto;min-width:60%}}
.ag-attempts td,.ag-attempts th{{padding:.35rem 1.6rem .35rem 0}}
.ag-notes{{background:var(--ag-soft);border:1px solid var(--ag-line);border-radius:8px;
 padding:.5rem 1rem .5rem 2rem;margin:.5rem 0 1.2rem}}
dl{{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1.2rem;margin:.6rem 0;font-size:.95rem}}
dd{{margin:0;overflow-wrap:anywhere}}
.t-k,.t-kc,.t-kd,.t-kn,.t-kr,.t-ow{{color:var(--ag-key)}}
.t-s,.t-s1,.t-s2,.t-sa,.t-sb,.t-se,.t-sh,.t-si,.t-sr,.t-mb,.t-mf,.t-mh,.t-mi,.t-mo{{color:var(--ag-string)}}
.t-kt,.t-nf,.t-nc,.t-nd,.t-fm{{color:var(--ag-name)}}
.t-c,.t-c1,.t-ch,.t-cm,.t-sd{{color:var(--ag-muted)}}
.t-c,.t-c1{{font-style:italic}}
@media (max-width:40rem){{.ag-look{{display:none}}h1{{font-size:1.7rem}}header{{padding-top:1.4rem}}
 .ag-name,.ag-number{{white-space:normal}}.ag-summary td,.ag-summary th{{padding-right:.6rem}}
 .ag-exercise{{padding:.9rem}}.ag-head .ag-number{{margin-left:0;width:100%}}
 .ag-table thead{{display:none}}.ag-table tbody,.ag-table tr,.ag-table td{{display:block}}
 .ag-table td{{padding-right:0}}.ag-table td:first-child{{width:auto;padding-bottom:0}}
 .ag-table td+td{{border-top:0;padding-top:.25rem}}
 dl{{grid-template-columns:1fr}}dd{{margin-bottom:.4rem}}
 .ag-attempts td,.ag-attempts th{{padding-right:.7rem}}
 .ag-attempts{{font-size:.9rem}}.ag-attempts .ag-badge,.ag-summary .ag-badge{{white-space:normal}}}}
@media print{{:root{{color-scheme:light}}body{{font-size:10.5pt}}
 details:not(.ag-aside)::details-content{{content-visibility:visible;block-size:auto}}
 header,main,footer{{max-width:none;padding:.5rem 0;background:none}}
 pre{{white-space:pre-wrap}}.ag-head,figure,tr{{break-inside:avoid-page}}h2,h3,.ag-head,summary{{break-after:avoid-page}}
 .ag-skip{{display:none}}.ag-badge{{border:1px solid currentcolor}}}}
{_SHARED}"""
