package allocator

import (
	"context"
	"errors"
	"fmt"
)

// A stage is how far Run has got.
type stage int

const (
	stageStarting   stage = iota // Run has not been called
	stageFollowing               // another one leads, or nobody does yet
	stageRecovering              // it reads what an earlier run left behind
	stageLeading
	stageEnding
)

func (a *Allocator) enter(s stage) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stage = s
}

// Ready returns an error when the allocator serves nobody at present: it is
// starting or ending, or its store does not answer or takes no records. One
// that follows another serves those who look. It may be called at any time.
func (a *Allocator) Ready(ctx context.Context) error {
	a.mu.Lock()
	at, outage := a.stage, a.storeOutage
	a.mu.Unlock()
	switch at {
	case stageStarting:
		return errors.New("the controller is starting")
	case stageRecovering:
		return errors.New("the controller is starting: it reads its records")
	case stageEnding:
		return errors.New("the controller is ending")
	}
	if err := a.Health(ctx); err != nil {
		return err
	}
	if outage != nil {
		return fmt.Errorf("what containers have stays as it is, nothing new begins: %w", outage.err)
	}
	return nil
}
