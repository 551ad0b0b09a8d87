//go:build linux

package lab

import (
	"context"
	"fmt"
	"time"

	"github.com/nicferry/nicferry/internal/retry"
)

// Until asks again and again, with pauses, until there is no error, within a
// time that bounds each question too. The error is the last one, with what was
// waited for and why that ended.
func Until(ctx context.Context, what string, within, pause time.Duration, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		if ctxErr := retry.Sleep(ctx, pause); ctxErr != nil {
			return fmt.Errorf("wait for %s, at most %s: %w: %w", what, within, ctxErr, err)
		}
	}
}
