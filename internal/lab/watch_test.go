//go:build linux

package lab

import (
	"context"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Replies that did not come are counted, and how long there were none.
func TestWatchCountsSilences(t *testing.T) {
	t.Parallel()
	said := `PING 10.0.0.1 (10.0.0.1) 56(84) bytes of data.
[100.000000] 64 bytes from 10.0.0.1: icmp_seq=65534 ttl=64 time=0.5 ms
[100.010000] 64 bytes from 10.0.0.1: icmp_seq=65535 ttl=64 time=0.5 ms
[100.015000] From 10.0.0.9 icmp_seq=0 Destination Host Unreachable
[101.510000] 64 bytes from 10.0.0.1: icmp_seq=2 ttl=64 time=0.5 ms
[101.520000] 64 bytes from 10.0.0.1: icmp_seq=1 ttl=64 time=9.5 ms
[101.530000] 64 bytes from 10.0.0.1: icmp_seq=1 ttl=64 time=9.5 ms (DUP!)
`
	w := &Watch{addr: netip.MustParseAddr("10.0.0.1"), cancel: func() {}, cmd: exec.Command("true")}
	w.read(strings.NewReader(said))
	got, silences, err := w.End()
	if want := (PingResult{Sent: 5, Received: 4, Lost: 1, Duration: 1530 * time.Millisecond}); err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	if len(silences) != 4 || silences[0].For() != 1500*time.Millisecond || silences[0].Lost != 2 {
		t.Errorf("silences %+v; want the longest first, of 1.5 s with two lost", silences)
	}
}

func TestWatchWithoutAReply(t *testing.T) {
	t.Parallel()
	mute := func(ctx context.Context, _ string, _ ...string) *exec.Cmd { return exec.CommandContext(ctx, "false") }
	w, err := WatchFrom(t.Context(), mute, netip.MustParseAddr("127.0.0.1"), 10*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Heard(t.Context(), 50*time.Millisecond); err == nil || !strings.Contains(err.Error(), "no reply from 127.0.0.1") {
		t.Errorf("heard %v", err)
	}
	if _, _, err := w.End(); err == nil {
		t.Error("End: no error without a single reply")
	}
}

func TestWatchOfLoopback(t *testing.T) {
	t.Parallel()
	w, err := WatchFrom(t.Context(), exec.CommandContext, netip.MustParseAddr("127.0.0.1"), 10*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	heard := w.Heard(t.Context(), 20*time.Second)
	got, _, err := w.End()
	if heard != nil || err != nil || got.Received < 3 {
		t.Errorf("%s, %v, %v; want some replies", got, heard, err)
	}
}
