//go:build linux

package containers

import (
	"context"
	"fmt"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/nicferry/nicferry/nic"
)

// lookEvery is how often a container's health is looked at.
const lookEvery = 200 * time.Millisecond

// Health waits until the container runs and, if it has a health check, that says
// healthy. An end of the container or of its health is an error. Its restart
// policy is no: nothing starts it again.
func (e *Engine) Health(ctx context.Context, task nic.Task) error {
	id, err := e.ordered(ctx, task)
	if err != nil {
		return err
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for waits := ""; ; {
		r, err := e.look(ctx, id, false)
		if err != nil && waits != "" && ctx.Err() != nil { // the wait ends in the midst of a look
			return fmt.Errorf("wait for container %s, which %s: %w", id, waits, context.Cause(ctx))
		}
		if err != nil {
			return err
		}
		if waits, err = ails(r); err != nil || waits == "" {
			return err
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// ails says what a container is still to do, empty if nothing, or why there is
// nothing to wait for.
func ails(r container.InspectResponse) (waits string, err error) {
	hide, s := secretsOf(r.Config, r.HostConfig), r.State
	switch {
	case s.Running && !s.Restarting:
	case s.Status == container.StateCreated && s.Error == "":
		return "has not been started", nil
	case s.Restarting:
		return "is being started again", nil
	default:
		why := fmt.Sprintf("it ended with status %d", s.ExitCode)
		if s.OOMKilled {
			why += ", killed for want of memory"
		}
		if s.Error != "" {
			why += ": " + clip(hide.in(s.Error))
		}
		return "", fmt.Errorf("container %s does not run: %s: see docker logs %s", r.ID, why, r.ID)
	}
	if s.Health == nil {
		return "", nil
	}
	switch s.Health.Status {
	case container.Starting:
		return "has not said yet whether it is healthy", nil
	case container.Unhealthy:
		// What its check prints may be anything, and this is stored and shown.
		why := "its check has not said why"
		if n := len(s.Health.Log); n > 0 && s.Health.Log[n-1] != nil {
			why = fmt.Sprintf("its check ended with status %d", s.Health.Log[n-1].ExitCode)
		}
		return "", fmt.Errorf("container %s is unhealthy: %s; for what it printed, run the check by hand in the container where it is now", r.ID, why)
	}
	return "", nil
}
