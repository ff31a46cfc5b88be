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
 padding:.5em .7em;overflow:auto}}
.ag-card.ag-summary .ag-table th:nth-child(3),.ag-card.ag-summary .ag-table td:nth-child(3){{width:8.5em}}
.ag-cards .ag-note{{color:var(--ag-muted);font-size:.92em}}
{_SHARED}"""

PAGE_CSS = f"""
:root{{color-scheme:light dark;{_LIGHT}--ag-page:#fff}}
@media screen and (prefers-color-scheme:dark){{:root{{{_DARK}--ag-page:#0f141a}}}}
*{{box-sizing:border-box}}
body{{margin:0;background:var(--ag-page);color:var(--ag-text);font:16px/1.55 system-ui,"Segoe UI",sans-serif}}
header,main,footer{{max-width:62rem;margin:0 auto;padding:0 1.25rem}}
header{{padding-top:2rem}}
footer{{padding-bottom:3rem;color:var(--ag-muted)}}
h1{{font-size:2rem;line-height:1.2;margin:.1em 0 .3em}}
h2{{font-size:1.35rem;margin:0;overflow-wrap:anywhere}}
h3{{font-size:1.02rem;margin:1.2rem 0 .3rem}}
a{{color:var(--ag-link);text-underline-offset:.15em}}
:focus-visible{{outline:3px solid var(--ag-link);outline-offset:2px}}
.ag-skip{{position:absolute;left:-999rem}}
.ag-skip:focus{{left:1rem;top:1rem;background:var(--ag-page);padding:.6rem 1rem;
 border:2px solid var(--ag-link)}}
.ag-course{{margin:0;color:var(--ag-muted);font-weight:600}}
.ag-score{{display:flex;flex-wrap:wrap;align-items:center;gap:.4rem 1rem;margin:.6rem 0 1.4rem;
 font-size:1.1rem}}
.ag-score meter{{width:16rem;height:1.4rem}}
code,pre{{font-family:ui-monospace,"DejaVu Sans Mono",monospace;font-size:.92em}}
table{{width:100%;border-collapse:collapse;margin:.6rem 0}}
caption{{text-align:left;font-weight:600;padding:.3rem 0}}
th,td{{text-align:left;vertical-align:top;padding:.5rem .9rem .5rem 0;border-top:1px solid var(--ag-line);
 overflow-wrap:anywhere}}
th{{color:var(--ag-muted);font-weight:600}}
tbody th{{color:inherit;font-weight:400}}
.ag-number{{white-space:nowrap;font-variant-numeric:tabular-nums}}
.ag-name{{white-space:nowrap}}
thead th{{overflow-wrap:normal}}
.ag-table{{table-layout:fixed}}
.ag-table th:first-child,.ag-table td:first-child{{width:9.5rem}}
.ag-exercise{{border:1px solid var(--ag-line);border-left:6px solid var(--ag-idle);border-radius:10px;
 padding:1.1rem 1.3rem;margin:1.4rem 0}}
.ag-exercise.ag-passed{{border-left-color:var(--ag-good)}}
.ag-exercise.ag-not-yet{{border-left-color:var(--ag-open)}}
.ag-exercise.ag-error{{border-left-color:var(--ag-bad)}}
.ag-head{{display:flex;flex-wrap:wrap;gap:.3rem .9rem;align-items:center}}
.ag-head .ag-number{{margin-left:auto;color:var(--ag-muted)}}
pre code{{font-size:1em}}
.ag-pre{{max-height:18rem}}
pre{{background:var(--ag-soft);border:1px solid var(--ag-line);border-radius:8px;padding:.8rem 1rem;
 margin:.5rem 0;overflow:auto;max-height:36rem;line-height:1.5}}
summary{{cursor:pointer;color:var(--ag-link);padding:.25rem 0;min-height:24px}}
.ag-notes{{background:var(--ag-soft);border:1px solid var(--ag-line);border-radius:8px;
 padding:.5rem 1rem .5rem 2rem;margin:.5rem 0 1.2rem}}
dl{{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1.2rem;margin:.6rem 0;font-size:.95rem}}
dd{{margin:0;overflow-wrap:anywhere}}
.t-k,.t-kc,.t-kn,.t-ow{{color:var(--ag-key)}}
.t-s,.t-s1,.t-s2,.t-sd,.t-sa,.t-si,.t-mi,.t-mf{{color:var(--ag-string)}}
.t-nf,.t-nc,.t-nd,.t-fm{{color:var(--ag-name)}}
.t-c1,.t-c{{color:var(--ag-muted);font-style:italic}}
@media (max-width:40rem){{.ag-look{{display:none}}h1{{font-size:1.6rem}}
 .ag-name,.ag-number{{white-space:normal}}.ag-name{{min-width:8rem}}
 .ag-exercise{{padding:.9rem}}.ag-table th:first-child,.ag-table td:first-child{{width:8.6rem}}}}
@media print{{:root{{color-scheme:light}}body{{font-size:11pt}}
 details::details-content{{content-visibility:visible;block-size:auto}}
 header,main,footer{{max-width:none;padding:0}}pre{{max-height:none;
 white-space:pre-wrap}}.ag-exercise{{break-inside:avoid-page}}.ag-skip{{display:none}}
 .ag-badge{{border:1px solid currentcolor}}}}
{_SHARED}"""
