package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// countMallocs starts to count the heap objects that the process behind an
// admin address makes; the function it returns says how many there were. What
// the counting itself makes is left out. Nothing is counted without an address.
func countMallocs(ctx context.Context, admin string) (func() (int64, error), error) {
	if admin == "" {
		return func() (int64, error) { return 0, nil }, nil
	}
	var last, own int64
	for range 3 { // the first opens the connection
		n, err := mallocs(ctx, admin)
		if err != nil {
			return nil, err
		}
		last, own = n, n-last
	}
	select { // until what asking has started is over, such as a collection
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(100 * time.Millisecond):
	}
	return func() (int64, error) {
		n, err := mallocs(ctx, admin)
		return max(0, n-last-own), err
	}, nil
}

func mallocs(ctx context.Context, admin string) (int64, error) {
	n, err := metric(ctx, admin, "go_memstats_mallocs_total")
	return int64(n), err
}

// metric reads one figure without labels from /metrics.
func metric(ctx context.Context, admin, name string) (float64, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	q.Header.Set("Accept-Encoding", "identity") // to compress is work that would be measured
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		return 0, err
	}
	defer a.Body.Close()
	return findMetric(a.Body, name)
}

func findMetric(r io.Reader, name string) (float64, error) {
	found, err := "", error(nil)
	lines := bufio.NewScanner(r)
	for lines.Scan() { // to the end, so that the connection can be used again
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			found = value
		}
	}
	if err = lines.Err(); err != nil {
		return 0, err
	}
	if found == "" {
		return 0, fmt.Errorf("/metrics has no %s", name)
	}
	return strconv.ParseFloat(found, 64)
}
