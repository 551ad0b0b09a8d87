package migratetest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nicferry/nicferry/nic"
)

// Step is a move's step of that name; it is empty if the move has none.
func Step(m nic.Move, name string) nic.MoveStep {
	if i := slices.IndexFunc(m.Steps, func(s nic.MoveStep) bool { return s.Name == name }); i >= 0 {
		return m.Steps[i]
	}
	return nic.MoveStep{}
}

// Tell is how a move fares, in one line for a test's log.
func Tell(m nic.Move) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", m.ID, m.Phase)
	for _, s := range m.Steps {
		if s.State == nic.StepOpen {
			continue
		}
		fmt.Fprintf(&b, " %s:%s", s.Name, s.State)
		if s.Tries > 1 {
			fmt.Fprintf(&b, "×%d", s.Tries)
		}
		if !s.Ended.IsZero() {
			fmt.Fprintf(&b, "(%d ms)", s.Ended.Sub(s.Began).Milliseconds())
		}
		if s.Error != "" {
			fmt.Fprintf(&b, "(%s)", s.Error)
		}
	}
	if m.Why != "" {
		fmt.Fprintf(&b, "; %s", m.Why)
	}
	if m.Remedy != "" {
		fmt.Fprintf(&b, "; remedy: %s", m.Remedy)
	}
	return b.String()
}

// Remedy is the command of nicferry, without that word, that a parked move says
// would help, the first of several; nil if it names none, or does not say why it is
// parked.
func Remedy(m nic.Move) []string {
	words := strings.Fields(strings.ReplaceAll(m.Remedy, ",", " "))
	from, to := slices.Index(words, "nicferry"), slices.Index(words, string(m.ID))
	if m.Why == "" || from < 0 || to < from {
		return nil
	}
	return words[from+1 : to+1]
}
