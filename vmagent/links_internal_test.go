//go:build linux

package vmagent

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/keyed"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
)

// A watch whose socket breaks wakes its worker, and the next look makes it anew.
func TestAWatchOfLinksThatBreaksIsMadeAnew(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	woken := make(chan string, 8)
	work := func(_ context.Context, key string) (time.Duration, error) { woken <- key; return 0, nil }
	a := &Agent{opts: Options{Log: log}, queue: keyed.New(keyed.Options{Work: work, Workers: 1, Log: log})}
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan struct{})
	go func() { defer close(ran); a.queue.Run(ctx) }()
	defer func() { stop(); <-ran }()
	p := &plug{ns: netnstest.New(t)}
	w := nic.Wanted{NIC: "nic-1", Owner: nic.Owner{Sandbox: "c0001"}}
	a.watchLinks(p, w)
	first := p.functions.watch
	if a.watchLinks(p, w); p.functions.watch != first {
		t.Error("a watch that works was made anew")
	}
	first.watch.Close()
	<-first.ended
	if key := <-woken; key != keyOf(w) {
		t.Errorf("it woke %q", key)
	}
	a.watchLinks(p, w)
	second := p.functions.watch
	defer p.stopWatch()
	if second == first || second.watch == nil || second.broken.Load() {
		t.Fatalf("after it broke there is %+v", second)
	}
	if !second.since.Equal(first.since) {
		t.Error("links have more time to settle, though they were watched")
	}
}
