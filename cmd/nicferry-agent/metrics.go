//go:build linux

package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/conf"
	"github.com/nicferry/nicferry/internal/metrics"
	"github.com/nicferry/nicferry/internal/version"
	"github.com/nicferry/nicferry/nic"
)

// offerMetrics serves metrics and health until ctx ends or the returned function
// is called. It begins before there is a Docker daemon, and never keeps the agent
// from its work.
func offerMetrics(ctx context.Context, c *conf.Agent, v *vitals, log *slog.Logger) (seen *metrics.Agent, end func()) {
	build := version.Get()
	seen = metrics.NewAgent(metrics.AgentOptions{
		Build: metrics.Build{Version: build.Version, Commit: build.Commit, Go: build.Go},
		Tally: func(t metrics.AgentTally) {
			if agent := v.running.Load(); agent != nil {
				agent.Tally(t)
			}
		},
		Traffic: func(ctx context.Context, each func(nic.ID, nic.ClaimID, string, nic.Traffic)) {
			if agent := v.running.Load(); agent != nil {
				agent.Traffic(ctx, each)
			}
		},
		Certificates: func(each func(string, time.Time)) {
			if c.TLS != nil {
				each("agent", metrics.EndOfFile(c.TLS.Cert))
				each("ca", metrics.EndOfFile(c.TLS.CA))
			}
		},
	})
	if c.Metrics.Address == "" {
		return seen, func() {}
	}
	handler := metrics.Handler(metrics.Options{Source: seen, Health: v.alive, Ready: v.ready, Log: log})
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { metrics.Offer(ctx, c.Metrics.Address, handler, log) })
	return seen, func() {
		cancel()
		wg.Wait()
	}
}
