package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
)

// printPlan writes a plan in full.
func (m *migrateCommand) printPlan(plan nic.MovePlan) error {
	if m.format != "text" {
		return encode(m.out, m.format, plan)
	}
	s := &sheet{now: m.now()}
	s.field("Container", plan.Request.Container)
	if plan.Request.Kind == nic.MoveNIC {
		s.field("Stand-by", plan.Request.Target)
	}
	s.field("From", plan.Request.From)
	s.field("To", plan.Request.To)
	s.field("NICs", travelText(plan.Travel))
	s.field("Silence", expectedSilence(plan))
	s.section("Interfaces")
	for _, n := range plan.NICs {
		s.field(n.Interface, fmt.Sprintf("%s on %s  %s  %s", n.NIC, n.Network, n.Identity.MAC, join(n.Identity.Addrs)))
	}
	s.section("Copies")
	for _, c := range plan.Copies {
		s.field(string(c.What), copyText(c))
	}
	s.section("Risks")
	for i, risk := range plan.Risks {
		s.field(fmt.Sprint(i+1), risk)
	}
	if err := s.flush(m.out); err != nil {
		return err
	}
	if len(plan.Steps) == 0 {
		return nil
	}
	fmt.Fprintln(m.out)
	w := newTable(m.out)
	fmt.Fprintln(w, "STEP\tEXPECTED\tSILENT\tWHAT")
	for _, step := range plan.Steps {
		expected, quiet := "", ""
		if step.Expected > 0 {
			expected = seconds(step.Expected.D())
		}
		if step.Silent {
			quiet = "yes"
		}
		about := step.About
		if step.Pivot {
			about += "; no way back from here"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", oneLine(step.Name), orDash(expected), orDash(quiet), oneLine(about))
	}
	return w.Flush()
}

// tellPlan says on stderr in short what is about to happen.
func (m *migrateCommand) tellPlan(plan nic.MovePlan) {
	r := plan.Request
	where := fmt.Sprintf("%s → %s", r.From, r.To)
	if r.Kind == nic.MoveNIC {
		where += "/" + r.Target
	}
	fmt.Fprintf(m.err, "%s: %s in %d steps, unreachable for %s; NICs %s\n",
		oneLine(r.Container), oneLine(where), len(plan.Steps), expectedSilence(plan), oneLine(travelText(plan.Travel)))
	for _, c := range plan.Copies {
		fmt.Fprintf(m.err, "  copies %s %s\n", oneLine(string(c.What)), oneLine(copyText(c)))
	}
	for _, risk := range plan.Risks {
		fmt.Fprintf(m.err, "  risk: %s\n", oneLine(risk))
	}
}

// expectedSilence says how long nobody answers, and how long if the container does
// not end when it is told to.
func expectedSilence(plan nic.MovePlan) string {
	text := "about " + seconds(plan.Silence.D())
	if plan.SilenceAtMost > plan.Silence {
		text += ", at most " + seconds(plan.SilenceAtMost.D()) + " if it does not end by itself"
	}
	return text
}

// travelText says how NICs get to the other node.
func travelText(travel string) string {
	switch travel {
	case "carry":
		return "carried along: the same NICs are unplugged here and plugged in there"
	case "rebuild":
		return "made anew there, with the same MACs and addresses"
	case "readdress":
		return "the addresses go alone, to NICs that are plugged in there ahead and have other MACs"
	}
	return travel
}

func copyText(c nic.PlannedCopy) string {
	text := c.Ref + ", " + amount(c.Bytes)
	if c.Pull {
		text += ", or from its registry"
	}
	return text
}

// seconds is a duration for people: exact below 10 s, and then less so.
func seconds(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.2fs", max(0, d).Seconds())
	case d < 100*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return d.Round(time.Second).String()
}

// A notMoved is all that stands against a move, a line each.
type notMoved struct {
	container, to string
	against       []nic.MoveRefusal
	cause         error
}

func (e *notMoved) Error() string {
	lines := []string{fmt.Sprintf("%s cannot move to %s, and nothing is changed:", oneLine(e.container), oneLine(e.to))}
	for _, r := range e.against {
		lines = append(lines, "  "+oneLine(r.Error()))
	}
	return strings.Join(lines, "\n")
}

// Unwrap is the refusal as the API has it, for the exit code.
func (e *notMoved) Unwrap() error { return e.cause }

// stands is the error of a plan that has reasons against it; nil for none.
func stands(plan nic.MovePlan) error {
	if len(plan.Refusals) == 0 {
		return nil
	}
	return &notMoved{plan.Request.Container, plan.Request.To, plan.Refusals, &api.Error{Code: api.CodeRefused}}
}

// asNotMoved gives a refusal with several reasons a line for each.
func asNotMoved(err error, r nic.MoveRequest) error {
	if e, ok := errors.AsType[*api.Error](err); ok && len(e.Refusals) > 0 {
		return &notMoved{r.Container, r.To, e.Refusals, e}
	}
	return err
}
