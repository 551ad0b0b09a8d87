//go:build linux

package containers

import (
	"context"
	"errors"
	"fmt"

	"github.com/nicferry/nicferry/internal/netns"
)

// Namespace opens the network namespace of c, which a Get returned. It returns
// ErrGone if c does not run or is no longer the run that c describes, and
// ErrSharedNetwork if the namespace is not c's own. The caller closes it.
//
// A process id may be another process's by the time it is used. So the
// namespace is held first, and only then is the engine asked whether the
// container has been running all the while.
func (e *Engine) Namespace(ctx context.Context, c Container) (_ *netns.Namespace, err error) {
	if c.SharesNetwork() {
		return nil, fmt.Errorf("open namespace of container %s with network %s: %w", c.ID, c.NetworkMode, ErrSharedNetwork)
	}
	if !c.Running {
		return nil, fmt.Errorf("open namespace of container %s: %w", c.ID, ErrGone)
	}
	ns, err := openNamespace(c)
	if err != nil {
		return nil, fmt.Errorf("open namespace of container %s: %w", c.ID, err)
	}
	defer func() {
		if err != nil {
			ns.Close()
		}
	}()
	e.afterOpen()
	if inspectAgain {
		if err := e.confirm(ctx, c); err != nil {
			return nil, fmt.Errorf("open namespace of container %s: %w", c.ID, err)
		}
	}
	if err := notOwn(ns); err != nil {
		return nil, fmt.Errorf("open namespace of container %s: %w", c.ID, err)
	}
	return ns, nil
}

// openNamespace prefers the engine's mount, which nothing but the engine makes
// mean something else. An agent in another mount namespace does not see it.
func openNamespace(c Container) (*netns.Namespace, error) {
	if c.SandboxKey != "" {
		ns, err := netns.Open(c.SandboxKey)
		if !errors.Is(err, netns.ErrGone) {
			return ns, err
		}
	}
	ns, err := netns.Open(fmt.Sprintf("/proc/%d/ns/net", c.PID))
	if errors.Is(err, netns.ErrGone) {
		return nil, fmt.Errorf("%w: %w", ErrGone, err)
	}
	return ns, err
}

// confirm asks whether c is still what the engine runs.
func (e *Engine) confirm(ctx context.Context, c Container) error {
	now, err := e.Get(ctx, c.ID)
	if errors.Is(err, ErrNotFound) {
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	if err != nil {
		return err
	}
	if !c.sameStart(now) {
		return ErrGone
	}
	return nil
}

// notOwn refuses our own namespace, which is the machine's.
func notOwn(ns *netns.Namespace) error {
	own, err := netns.Current()
	if err != nil {
		return err
	}
	defer own.Close()
	if own.ID() == ns.ID() {
		return fmt.Errorf("it is the agent's own: %w", ErrSharedNetwork)
	}
	return nil
}
