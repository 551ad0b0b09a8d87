package main

import (
	"fmt"
	"io"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// lineWidth is how much of a line is written where it is written anew: what a
// terminal wraps would stay there.
const lineWidth = 79

// moveProgress tells a person how a move goes: a line for each step that is over,
// and on a terminal one for the step that is under way.
type moveProgress struct {
	out  io.Writer
	live bool
	now  func() time.Time

	move  nic.Move
	told  map[string]nic.MoveStep // what the last line about a step said
	phase nic.MovePhase
	// began and silent are when the step under way and the silence were first seen,
	// by this machine's clock: the controller's may be another.
	began, silent time.Time
	doing         string
	drawn         bool
}

func newMoveProgress(a *app) *moveProgress {
	return &moveProgress{out: a.err, live: a.live, now: a.now, told: map[string]nic.MoveStep{}}
}

// show takes how the move is now.
func (p *moveProgress) show(m nic.Move) {
	p.clear()
	p.move = m
	if p.phase != m.Phase && m.Phase == nic.MoveBack {
		p.line("  going back: " + m.Why)
	}
	for _, step := range m.Steps {
		before := p.told[step.Name]
		switch {
		case step.State == nic.StepDone && before.State != nic.StepDone, step.State == nic.StepUndone && before.State != nic.StepUndone:
			p.line(overText(step))
		case step.Error != "" && step.Error != before.Error && step.State != nic.StepDone:
			p.line(fmt.Sprintf("  %-14s again: %s", step.Name, step.Error))
		}
		p.told[step.Name] = step
	}
	if p.phase != m.Phase && m.Phase == nic.MoveFinishing {
		text := fmt.Sprintf("  %s is on %s, and stays there", m.Container, m.To)
		if m.Kind == nic.MoveNIC {
			text = fmt.Sprintf("  the NICs of %s are on %s/%s, and stay there", m.Container, m.To, m.Target)
		}
		p.line(text)
	}
	p.phase = m.Phase
	p.follow()
	p.draw()
}

// follow notes since when the step under way is, and the silence.
func (p *moveProgress) follow() {
	doing := ""
	for _, step := range p.move.Steps {
		if step.State == nic.StepDoing || step.State == nic.StepUndoing {
			doing = string(step.State) + step.Name
		}
	}
	if doing != p.doing {
		p.doing, p.began = doing, p.now()
	}
	if p.silent.IsZero() && !p.move.SilentFrom.IsZero() {
		p.silent = p.now()
	}
}

// draw writes the line of the step that is under way, on a terminal.
func (p *moveProgress) draw() {
	if !p.live {
		return
	}
	text := ""
	for _, step := range p.move.Steps {
		if step.State == nic.StepDoing || step.State == nic.StepUndoing {
			text = p.underWay(step)
		}
	}
	if text == "" {
		return
	}
	p.clear()
	if line := []rune(oneLineKept(text)); len(line) > lineWidth {
		text = string(line[:lineWidth])
	}
	fmt.Fprint(p.out, oneLineKept(text))
	p.drawn = true
}

// underWay is the line of a step that is not over.
func (p *moveProgress) underWay(step nic.MoveStep) string {
	took := p.now().Sub(p.began)
	name := step.Name
	if step.State == nic.StepUndoing {
		name = "back: " + name
	}
	text := fmt.Sprintf("  %-14s %7s", name, seconds(took))
	if step.Tries > 1 {
		text += fmt.Sprintf("  try %d", step.Tries)
	}
	if copied := copiedText(step, took); copied != "" {
		text += "  " + copied
	}
	if !p.silent.IsZero() && p.move.SilentTo.IsZero() {
		text += "  silent " + seconds(p.now().Sub(p.silent))
	}
	return text
}

// overText is the line of a step that is done or undone.
func overText(step nic.MoveStep) string {
	took, name := step.Ended.Sub(step.Began), step.Name
	if step.State == nic.StepUndone {
		return fmt.Sprintf("  %-14s undone", name)
	}
	text := fmt.Sprintf("  %-14s %7s", name, seconds(took))
	if copied := copiedText(step, took); copied != "" {
		text += "  " + copied
	}
	return text
}

// note says something that is no step.
func (p *moveProgress) note(format string, args ...any) {
	p.clear()
	p.line("nicferry: " + fmt.Sprintf(format, args...))
	p.draw()
}

func (p *moveProgress) line(text string) { fmt.Fprintln(p.out, oneLineKept(text)) }

// clear takes the line away that is written anew.
func (p *moveProgress) clear() {
	if p.drawn {
		fmt.Fprint(p.out, "\r\x1b[K")
		p.drawn = false
	}
}

// oneLineKept is oneLine for text that is indented.
func oneLineKept(s string) string {
	at := 0
	for at < len(s) && s[at] == ' ' {
		at++
	}
	return s[:at] + oneLine(s[at:])
}
