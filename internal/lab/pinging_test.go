//go:build linux

package lab

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// What is lost is counted to the end, but for the last few, which may have been on
// their way. A reply that came twice counts once.
func TestCountReplies(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		replies []int
		all     int
		want    PingResult
		missing []int
	}{
		"all":               {[]int{1, 2, 3}, 3, PingResult{Sent: 3, Received: 3}, nil},
		"some on their way": {[]int{1, 2, 3}, 6, PingResult{Sent: 3, Received: 3}, nil},
		"twice, and a gap":  {[]int{1, 2, 2, 4}, 4, PingResult{Sent: 4, Received: 3, Lost: 1}, []int{3}},
		"gone":              {[]int{1}, 5, PingResult{Sent: 5, Received: 1, Lost: 4}, []int{2, 3, 4, 5}},
		"killed":            {[]int{1, 3}, 0, PingResult{Sent: 3, Received: 2, Lost: 1}, []int{2}},
		"none":              {nil, 0, PingResult{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			for _, seq := range test.replies {
				fmt.Fprintf(&out, "64 bytes from 10.0.0.1: icmp_seq=%d ttl=64 time=0.05 ms\n", seq)
			}
			if test.all > 0 {
				fmt.Fprintf(&out, "--- 10.0.0.1 ping statistics ---\n%d packets transmitted, 9 received, 0%% packet loss, time 4ms\n", test.all)
			}
			got, missing := countReplies(out.String())
			if got != test.want || !slices.Equal(missing, test.missing) {
				t.Errorf("got %+v, missing %v; want %+v, %v", got, missing, test.want, test.missing)
			}
		})
	}
}
