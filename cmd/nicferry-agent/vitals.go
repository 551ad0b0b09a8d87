//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/nicferry/nicferry/internal/daemon"
	"github.com/nicferry/nicferry/vmagent"
	"github.com/nicferry/nicferry/vmagent/containers"
)

// vitals is what the service manager, and whoever asks over HTTP, is told of the
// agent's health.
type vitals struct {
	node     string
	running  *atomic.Pointer[vmagent.Agent] // nil until there is an agent
	notifier *daemon.Notifier
	log      *slog.Logger
	engine   atomic.Pointer[containers.Engine] // nil until it is open
	stuck    bool                              // the kernel is
}

// health is the agent's, but for a stuck kernel: that is told in the status and
// in the log and is no reason to withhold the sign of life. The service manager
// would end an agent that is well, and could not even do that: its threads wait
// in the kernel.
func (v *vitals) health(ctx context.Context) error {
	agent := v.running.Load()
	if agent == nil {
		return nil
	}
	err := agent.Health(ctx)
	switch stuck := errors.Is(err, vmagent.ErrKernelStuck); {
	case stuck:
		v.log.Error("not well, and no restart would help", "err", err)
		v.notifier.Status("not well: " + err.Error())
		v.stuck = true
		return nil
	case v.stuck:
		v.log.Info("the kernel answers again")
		v.notifier.Status("serving node " + v.node)
		v.stuck = false
	}
	return err
}

// alive returns an error when a worker or the kernel is stuck.
func (v *vitals) alive(ctx context.Context) error {
	if agent := v.running.Load(); agent != nil {
		return agent.Health(ctx)
	}
	return nil
}

// ready returns an error while no new container is served.
func (v *vitals) ready(ctx context.Context) error {
	engine, agent := v.engine.Load(), v.running.Load()
	if engine == nil || agent == nil {
		return errors.New("the agent is starting: it waits for the Docker daemon")
	}
	if err := engine.Ping(ctx); err != nil {
		return fmt.Errorf("the Docker daemon does not answer: %w", err)
	}
	return agent.Ready(ctx)
}
