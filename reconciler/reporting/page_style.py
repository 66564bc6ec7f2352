"""How a page in HTML looks: light and dark, on a phone, on a large screen and on paper.  Data only.

It names nothing outside of the page, and holds neither ``<`` nor ``&``, so that it stands in the page as it is.
"""

STYLE = """
:root{color-scheme:light dark;--ground:#f6f7f9;--card:#fff;--ink:#1b1f24;--soft:#57606a;--line:#d8dde3;--faint:#eef1f4;
--good:#156a2d;--good-back:#dff5e3;--bad:#b3192c;--bad-back:#fde4e6;--warn:#8a5300;--warn-back:#fdf0d2;
--move:#0b5fb5;--move-back:#e1effc;--mono:ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace}
@media screen and (prefers-color-scheme:dark){:root{--ground:#0e1217;--card:#161b22;--ink:#e4e9ee;--soft:#9aa5b1;
--line:#2d353f;--faint:#1e252e;--good:#5bc873;--good-back:#12301b;--bad:#ff8088;--bad-back:#40171c;--warn:#e9b24a;--warn-back:#3a2b0d;
--move:#74b5f7;--move-back:#122c47}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0;background:var(--ground);color:var(--ink);
font:1rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif;overflow-wrap:anywhere}
header,main,footer{max-width:84rem;margin:0 auto;padding:0 1.5rem}
h1,h2,h3{line-height:1.25;margin:0;font-weight:650}
h1{font-size:1.75rem}h2{font-size:1.25rem}h3{font-size:1.05rem}
p,ul,ol,dl,dd{margin:0}
ul,ol{padding:0;list-style:none}
code,.mono{font-family:var(--mono);font-size:.9em}
a{color:inherit}
:focus-visible{outline:2px solid var(--move);outline-offset:2px}
header{padding-top:2rem}
.brand{color:var(--soft);font-size:.875rem;letter-spacing:.02em;margin-bottom:.25rem}
.lead{color:var(--soft);margin-top:.25rem}
.facts{display:flex;flex-wrap:wrap;gap:.25rem 2rem;margin-top:.75rem;font-size:.9rem}
.facts div{display:flex;gap:.5rem}
.facts dt{color:var(--soft)}
.answers{margin-top:1.25rem;display:grid;gap:.75rem}
.answer{background:var(--card);border:1px solid var(--line);border-left-width:6px;border-radius:8px;
padding:.9rem 1.1rem}
.answer.good{border-left-color:var(--good)}.answer.bad{border-left-color:var(--bad)}
.answer.warn{border-left-color:var(--warn)}.answer.move{border-left-color:var(--move)}
.answer .said{display:flex;flex-wrap:wrap;align-items:baseline;gap:.35rem .75rem}
.answer .part{color:var(--soft);min-width:6rem}
.answer .word{font-weight:700;font-size:1.15rem}
.good.word,.good .word{color:var(--good)}.bad.word,.bad .word{color:var(--bad)}
.warn.word,.warn .word{color:var(--warn)}.move.word,.move .word{color:var(--move)}
.tally{display:flex;flex-wrap:wrap;gap:.4rem;margin-top:.6rem}
.tally li{display:inline-flex;align-items:baseline;gap:.4rem;border:1px solid var(--line);border-radius:6px;
padding:.1rem .6rem;font-size:.9rem;background:var(--ground)}
.tally b{font-family:var(--mono);font-size:1.05rem}
main{padding-bottom:1rem}
main>div,section{margin-top:2rem}
section+section{border-top:1px solid var(--line);padding-top:1.5rem}
.note{margin-top:1rem;padding:.7rem 1rem;border-radius:8px;background:var(--move-back)}
.note.warn{background:var(--warn-back)}.note.bad{background:var(--bad-back)}
.note p+p{margin-top:.25rem}
.hint{color:var(--soft)}
details{margin-top:1rem;background:var(--card);border:1px solid var(--line);border-radius:8px}
summary{cursor:pointer;padding:.65rem 1rem;display:flex;align-items:baseline;gap:.6rem}
summary::-webkit-details-marker{display:none}
summary::before{content:"\\25B8";color:var(--soft);flex:none}
details[open]>summary::before{content:"\\25BE"}
details[open]>summary{border-bottom:1px solid var(--line)}
summary .count{color:var(--soft);font-variant-numeric:tabular-nums}
details.bad>summary :is(h2,h3){color:var(--bad)}details.warn>summary :is(h2,h3){color:var(--warn)}
.steps>li{padding:.65rem 1rem}
.long>li{content-visibility:auto;contain-intrinsic-size:auto 3.5rem}
.steps>li+li{border-top:1px solid var(--faint)}
.steps p{white-space:pre-wrap;font-size:.93rem}
.steps .i4{margin-left:1.7rem}.steps .i8{margin-left:3rem}.steps .i12{margin-left:4.3rem}
.steps .i4,.steps .i8,.steps .i12{font-family:var(--mono);font-size:.84rem;line-height:1.6}
.steps .prose{font-family:inherit;font-size:.93rem;line-height:1.5}
.head{display:grid;margin-bottom:.15rem;grid-template-columns:1.1rem minmax(0,1fr);gap:0 .6rem}
.sign{font-family:var(--mono);font-weight:700;text-align:center;text-decoration:none}
.name{font-family:var(--mono);font-weight:600;font-size:.9rem}
.t-add,.t-good{color:var(--good)}.t-change,.t-warn{color:var(--warn)}.t-remove,.t-bad{color:var(--bad)}
.t-move{color:var(--move)}.t-dim{color:var(--soft)}
.steps b{font-weight:600}
.more{padding:.5rem 1rem;color:var(--soft)}
del,ins{text-decoration:none;border-radius:3px;padding:0 .2em}
del{background:var(--bad-back);color:var(--bad)}ins{background:var(--good-back);color:var(--good)}
.badge{display:inline-block;font-family:system-ui,sans-serif;font-size:.72rem;font-weight:700;letter-spacing:.04em;
border-radius:4px;padding:0 .45em;line-height:1.6;border:1px solid;white-space:nowrap}
.badge.t-bad{background:var(--bad-back)}.badge.t-warn{background:var(--warn-back)}.badge.t-good{background:var(--good-back)}
table{border-collapse:collapse;width:100%;margin-top:1rem;background:var(--card);border:1px solid var(--line);
font-size:.93rem;overflow-wrap:break-word}
details>table{margin:0;border:0}
th,td{text-align:left;vertical-align:top;padding:.6rem .75rem;border-top:1px solid var(--faint)}
thead th{color:var(--soft);font-weight:600;font-size:.85rem;border-top:0;white-space:nowrap}
tbody th{font-weight:600;overflow-wrap:anywhere}
.verdicts th{min-width:17rem}
.verdicts thead th{min-width:0}
tbody small{display:block;color:var(--soft);font-weight:400;font-size:.8rem}
.number{font-family:var(--mono);font-size:.86rem;font-variant-numeric:tabular-nums;min-width:5.5rem}
.margin{white-space:nowrap}
.why{min-width:11rem;overflow-wrap:anywhere}
.level{white-space:nowrap;font-weight:700}
.home{color:var(--soft);margin-top:1rem}.home+table{margin-top:.4rem}.home+details{margin-top:.4rem}
svg{display:block;max-width:100%;overflow:visible}
svg.shares{width:100%;height:10px;margin-top:.75rem}
.shares .fail{fill:var(--bad)}.shares .warn{fill:var(--warn)}.shares .info{fill:var(--move)}
.shares .pass{fill:var(--good)}
.track{fill:var(--line)}.zone{fill:var(--good);opacity:.28}
.limit{stroke:var(--ink);stroke-width:1.5;fill:none}
.past .limit{stroke:var(--soft);stroke-width:1;stroke-dasharray:3 3}
.line{stroke:var(--soft);stroke-width:1.5;fill:none;stroke-linejoin:round}
.mark{stroke-width:2;fill:none;stroke-linecap:round}
circle.mark{stroke:var(--card);stroke-width:1}
.mark.pass{fill:var(--good)}.mark.fail{stroke:var(--bad)}.mark.warn{stroke:var(--warn)}.mark.info{stroke:var(--move)}
footer{color:var(--soft);font-size:.875rem;padding-top:1rem;padding-bottom:3rem}
footer dl{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:.2rem 1rem;padding:.8rem 1rem}
footer dt{font-family:var(--mono);font-weight:600;color:var(--ink)}
@media (max-width:46rem){
header,main,footer{padding-left:.8rem;padding-right:.8rem}
header{padding-top:1.2rem}
h1{font-size:1.4rem}
.steps>li,summary{padding-left:.7rem;padding-right:.7rem}
.steps .i4{margin-left:.9rem}.steps .i8{margin-left:1.6rem}.steps .i12{margin-left:2.3rem}
.answer .part{min-width:100%}
}
@media (max-width:66rem){
.verdicts thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.verdicts,.verdicts tbody,.verdicts th,.verdicts td{display:block;min-width:0}
.verdicts tr{display:grid;grid-template-columns:4rem repeat(3,minmax(7rem,1fr)) 140px 140px;align-items:start;
gap:.3rem 1rem;padding:.8rem 1rem}
.verdicts tr+tr{border-top:1px solid var(--line)}
.verdicts th,.verdicts td{border:0;padding:0}
.verdicts .picture{align-self:center}
.verdicts th,.verdicts .why{grid-column:2/-1}
.verdicts .measured{grid-column:2}
.verdicts .why:empty{display:none}
.measured::before,.wanted::before,.margin::before{display:block;color:var(--soft);
font-family:system-ui,sans-serif;font-size:.8rem}
.measured::before{content:"Measured"}.wanted::before{content:"Wanted"}.margin::before{content:"Margin"}
.verdicts .number:empty{visibility:hidden}
}
@media (max-width:46rem){
.verdicts tr{grid-template-columns:repeat(6,minmax(0,1fr))}
.verdicts :is(th,.level,.why){grid-column:1/-1}
.verdicts :is(.measured,.wanted,.margin){grid-column:span 2;overflow-wrap:anywhere}
.verdicts .picture{grid-column:span 3}
.verdicts td:empty{display:none}
table:not(.verdicts) thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
table:not(.verdicts),table:not(.verdicts) :is(tbody,tr,th,td){display:block}
table:not(.verdicts) tbody tr{padding:.6rem .8rem;border-top:1px solid var(--line)}
table:not(.verdicts) :is(th,td){border:0;padding:.1rem 0}
}
@media print{
body{background:#fff;font-size:10pt}
.steps>li{content-visibility:visible;break-inside:avoid}
tr{break-inside:avoid}
details::details-content{content-visibility:visible;display:block;height:auto}
summary::before{content:none}
}
"""
