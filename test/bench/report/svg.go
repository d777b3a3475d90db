package report

import (
	"fmt"
	"html"
	"maps"
	"slices"
	"strings"
)

// Geometry of a plot, in pixels: bars lie, their names to the left.
const (
	plotWidth  = 720
	nameWidth  = 230
	valueWidth = 150
	barHeight  = 16
	rowHeight  = 22
)

// plots are bar charts by file name.
func (r *Report) plots() map[string]string {
	out := map[string]string{}
	for name, of := range map[string][]string{
		"http1.svg":  {"http1", "http1-headers", "http1-routes"},
		"tls.svg":    {"tls", "handshake", "resumption"},
		"http2.svg":  {"http2", "grpc-unary", "grpc-stream", "http3"},
		"bodies.svg": {"download-64k", "upload-1m"},
		"others.svg": {"connect", "low-rate", "websocket", "tcp", "udp"},
	} {
		var some []Scenario
		for _, s := range r.Scenarios {
			if slices.Contains(of, s.Name) {
				some = append(some, s)
			}
		}
		if len(some) > 0 {
			out[name] = plot(plotTitle(name), some)
		}
	}
	return out
}

// plotNames are the plots in the order of the page.
func plotNames(plots map[string]string) []string { return slices.Sorted(maps.Keys(plots)) }

func plotTitle(name string) string {
	return map[string]string{
		"http1.svg":  "HTTP/1.1: CPU per request, microseconds",
		"tls.svg":    "TLS: CPU per request or connection, microseconds",
		"http2.svg":  "HTTP/2, HTTP/3 and gRPC: CPU per request or message, microseconds",
		"bodies.svg": "Large bodies: CPU per request, microseconds",
		"others.svg": "Connections, low load, relays: CPU per unit, microseconds",
	}[name]
}

// plot draws a group of bars for each scenario: the median, and a line from the
// least to the greatest run. Each group has its own scale. The colours follow the
// reader's light or dark scheme.
func plot(title string, scenarios []Scenario) string {
	var b strings.Builder
	y := 34
	for _, s := range scenarios {
		y += 12
		fmt.Fprintf(&b, `<text class="group" x="8" y="%d">%s</text>`+"\n", y+10, html.EscapeString(s.Title))
		y += 20
		greatest := 0.0
		for _, c := range s.Contenders {
			greatest = max(greatest, c.Spread(CPU).High)
		}
		for _, c := range s.Contenders {
			cpu := c.Spread(CPU)
			if greatest == 0 || len(c.Runs) == 0 {
				continue
			}
			scale := func(v float64) float64 { return v / greatest * (plotWidth - nameWidth - valueWidth) }
			class := "other"
			if c.Name == "gatehouse" {
				class = "ours"
			}
			middle := float64(y) + barHeight/2
			fmt.Fprintf(&b, `<text class="name" x="%d" y="%d">%s</text>`+"\n", nameWidth-8, y+12, html.EscapeString(c.Name))
			fmt.Fprintf(&b, `<rect class="%s" x="%d" y="%d" width="%.1f" height="%d" rx="2"/>`+"\n", class, nameWidth, y, scale(cpu.Median), barHeight)
			fmt.Fprintf(&b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`+"\n",
				nameWidth+scale(cpu.Low), middle, nameWidth+scale(cpu.High), middle)
			fmt.Fprintf(&b, `<text x="%.1f" y="%d">%.1f</text>`+"\n", nameWidth+scale(cpu.High)+8, y+12, cpu.Median)
			y += rowHeight
		}
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" role="img" aria-label="%[3]s">
<style>
text { font: 12px sans-serif; fill: #1f2328 }
.title { font-size: 14px; font-weight: bold } .group { font-weight: bold } .name { text-anchor: end }
.ours { fill: #2f6fde } .other { fill: #a8b1bd } line { stroke: #1f2328; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .ours { fill: #5b93f5 } .other { fill: #5d6774 } line { stroke: #e6edf3 }
}
</style>
<text class="title" x="8" y="22">%[3]s</text>
%[4]s</svg>
`, plotWidth, y+10, html.EscapeString(title), b.String())
}
