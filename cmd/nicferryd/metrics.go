package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/authority"
	"github.com/nicferry/nicferry/internal/conf"
	"github.com/nicferry/nicferry/internal/metrics"
	"github.com/nicferry/nicferry/internal/version"
	"github.com/nicferry/nicferry/nic"
)

// newMetrics makes the controller's metrics. alloc is asked for when somebody
// looks, and is there by then.
func newMetrics(c *conf.Controller, trust *authority.Authority, alloc func() *allocator.Allocator) *metrics.Controller {
	build := version.Get()
	o := metrics.ControllerOptions{
		Build:        metrics.Build{Version: build.Version, Commit: build.Commit, Go: build.Go},
		Tenants:      []string{nic.DefaultTenant},
		Tally:        func(t metrics.Tally) { alloc().Tally(t) },
		Certificates: func(each func(string, time.Time)) { tellCertificates(c, trust, each) },
	}
	for _, n := range c.Networks {
		o.Networks = append(o.Networks, n.Name)
	}
	for _, t := range c.Tenants {
		o.Tenants = append(o.Tenants, t.Name)
	}
	for _, p := range c.Providers {
		o.Providers = append(o.Providers, p.Name)
	}
	return metrics.NewController(o)
}

// tellCertificates tells when those certificates end that the port for agents
// works with.
func tellCertificates(c *conf.Controller, trust *authority.Authority, each func(use string, until time.Time)) {
	switch {
	case c.Listen == nil:
	case !c.Listen.OwnAuthority():
		each("server", metrics.EndOfFile(c.Listen.Cert))
		each("ca", metrics.EndOfFile(c.Listen.ClientCA))
	default:
		each("ca", metrics.EndOf([]byte(trust.CA())))
		if cert, err := trust.Certificate(); err == nil && cert.Leaf != nil {
			each("server", cert.Leaf.NotAfter)
		}
	}
}

// serveMetrics opens the port for metrics and health; the function that it returns
// serves them until ctx ends.
func serveMetrics(c *conf.Controller, m *metrics.Controller, alloc *allocator.Allocator, log *slog.Logger) (func(context.Context) error, error) {
	if c.Metrics.Address == "" {
		return func(context.Context) error { return nil }, nil
	}
	ln, err := metrics.Listen(c.Metrics.Address)
	if err != nil {
		return nil, err
	}
	handler := metrics.Handler(metrics.Options{Source: m, Health: alloc.Health, Ready: alloc.Ready, Log: log})
	return func(ctx context.Context) error { return metrics.Serve(ctx, ln, handler, log) }, nil
}
