package migrate

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// awaited shows in the record that a move which is beyond its pivot waits for a node
// that does not answer, once that has been so for a while: people see nothing else
// of it. It returns whether that is shown.
func (s *stepper) awaited(ctx context.Context, task nic.Task, given time.Time, heard *atomic.Pointer[time.Time]) bool {
	since, patience, what := given, answerWithin, "not begun"
	if last := heard.Load(); last != nil {
		since, patience, what = *last, silentFor, "begun, and nothing said of it"
	}
	if time.Since(since) < patience {
		return false
	}
	_, rest, _ := strings.Cut(string(task.ID), ".")
	word, _, _ := strings.Cut(rest, ".")
	said := fmt.Sprintf("%s on %s: %s within %v: %v; it is waited for", task.Kind, task.Node, what, patience, errSilent)
	return s.journal.Note(ctx, func(m *nic.Move) {
		for i := range m.Steps {
			if step := &m.Steps[i]; step.Name == word && step.State == nic.StepDoing {
				step.Error = said
			}
		}
	}) == nil
}
