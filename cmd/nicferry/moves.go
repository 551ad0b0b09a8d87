package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/client"
	"github.com/nicferry/nicferry/nic"
)

func moveKind() kind {
	return kind{
		name: "moves", aliases: []string{"move"},
		columns: []string{"MOVE", "CONTAINER", "FROM", "TO", "PHASE", "STEP", "SILENCE", "AGE"},
		wide:    []string{"KIND", "TARGET", "CLAIMS", "WHY", "REMEDY"},
		list: func(ctx context.Context, c *client.Client) ([]thing, error) {
			moves, err := c.Moves(ctx)
			return things(moves, newMove), err
		},
		find: findMove,
	}
}

// findMove takes a move's id, or the name of a container, of which it finds the
// newest move.
func findMove(ctx context.Context, c *client.Client, name string) ([]thing, bool, error) {
	if id, err := nic.ParseMoveID(name); err == nil {
		view, err := c.Move(ctx, id)
		return []thing{newMove(view.Move)}, true, err
	}
	moves, err := c.Moves(ctx)
	if err != nil {
		return nil, false, err
	}
	var newest *nic.Move
	for i, m := range moves {
		if m.Container == name && (newest == nil || m.Created.After(newest.Created)) {
			newest = &moves[i]
		}
	}
	if newest == nil {
		return nil, false, &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("no move %q, and none of a container of that name", name)}
	}
	return []thing{newMove(*newest)}, true, nil
}

// move is a move to be shown.
type move struct{ nic.Move }

func newMove(m nic.Move) move { return move{m} }

func (m move) key() string { return string(m.ID) }
func (m move) object() any { return m.Move }

// at is the step that it is at, with how much of it is copied; empty where it is
// over.
func (m move) at() string {
	if m.Phase.Over() {
		return ""
	}
	for _, s := range m.Steps {
		if s.State == nic.StepDoing || s.State == nic.StepUndoing {
			if s.Total > 0 {
				return fmt.Sprintf("%s %d%%", s.Name, min(100, s.Bytes*100/s.Total))
			}
			return s.Name
		}
	}
	return ""
}

// silence is how long the container answered nobody; ok is false while that is not
// known.
func silence(m nic.Move) (d time.Duration, ok bool) {
	if m.SilentFrom.IsZero() || m.SilentTo.IsZero() || m.SilentTo.Before(m.SilentFrom) {
		return 0, false
	}
	return m.SilentTo.Sub(m.SilentFrom), true
}

// silent is silence for people; empty while it is not known.
func silent(m nic.Move) string {
	if d, ok := silence(m); ok {
		return fmt.Sprintf("%.3fs", d.Seconds())
	}
	return ""
}

func (m move) cells(now time.Time) []string {
	return []string{
		string(m.ID), m.Container, m.From, m.To, string(m.Phase), m.at(), silent(m.Move), age(now, m.Created),
		string(m.Kind), m.Target, strconv.Itoa(len(m.Claims)), m.Why, m.Remedy,
	}
}

func (m move) describe(s *sheet) {
	s.field("Move", string(m.ID))
	s.field("Container", m.Container)
	if m.Target != m.Container {
		s.field("Stand-by", m.Target)
	}
	s.field("From", m.From)
	s.field("To", m.To)
	s.field("Phase", string(m.Phase))
	s.field("Why", m.Why)
	s.field("Remedy", m.Remedy)
	if m.Drain {
		s.field("Begun by", "the draining of "+m.From)
	}
	var claims []string
	for _, id := range m.Claims {
		claims = append(claims, string(id))
	}
	s.field("Claims", strings.Join(claims, ","))
	s.field("Container id", m.Sandbox)
	s.field("New container id", m.TargetSandbox)
	s.field("Silence", silent(m.Move))
	s.time("Created", m.Created)
	s.time("Ended", m.Ended)
	s.options(m.Options)
	s.moveWaterfall(m.Move)
}

func (s *sheet) options(o nic.MoveOptions) {
	s.section("Options")
	s.field("Volumes", string(o.Volumes))
	s.field("Layer", string(o.Layer))
	if o.Wait > 0 {
		s.field("Wait", o.Wait.D().String())
	}
	if o.Grace > 0 {
		s.field("Grace", o.Grace.D().String())
	}
	if o.Keep {
		s.field("Keep", "the container on the old node stays, stopped")
	}
}

// moveWaterfall adds a line for each step: when it began after the move, how long
// it took, both as a bar, and what it copied or failed with.
func (s *sheet) moveWaterfall(m nic.Move) {
	end := m.Ended
	if end.IsZero() {
		end = s.now
	}
	total := end.Sub(m.Created).Seconds()
	s.section("Waterfall")
	for _, step := range m.Steps {
		text := "not begun"
		if !step.Began.IsZero() {
			text = stepBar(m, step, end, total)
		}
		if step.Pivot {
			text += "  no way back from here"
		}
		if step.Tries > 1 {
			text += fmt.Sprintf("  %d tries", step.Tries)
		}
		if step.Error != "" {
			text += "  " + step.Error
		}
		s.field(step.Name, text)
	}
	if m.Ended.IsZero() {
		s.field("so far", fmt.Sprintf("%.3fs", max(0, total)))
		return
	}
	s.field("in all", fmt.Sprintf("%.3fs", total))
}

func stepBar(m nic.Move, step nic.MoveStep, end time.Time, total float64) string {
	until := step.Ended
	if until.IsZero() {
		until = end
	}
	t := api.StepTime{Start: max(0, step.Began.Sub(m.Created).Seconds()), Took: max(0, until.Sub(step.Began).Seconds())}
	text := fmt.Sprintf("+%.3fs  %s  |%s|", t.Start, padded(fmt.Sprintf("%.3fs", t.Took), 9), bar(t, total))
	if step.State != nic.StepDone {
		text += "  " + string(step.State)
	}
	if copied := copiedText(step, until.Sub(step.Began)); copied != "" {
		text += "  " + copied
	}
	return text
}

// copiedText says how much of what is copied, and how fast; empty for a step that
// copies nothing.
func copiedText(step nic.MoveStep, took time.Duration) string {
	if step.Bytes == 0 && step.Total == 0 {
		return ""
	}
	text := amount(step.Bytes)
	if step.Total > step.Bytes {
		text += " of " + amount(step.Total)
	}
	if took >= 100*time.Millisecond {
		text += fmt.Sprintf(", %s/s", amount(int64(float64(step.Bytes)/took.Seconds())))
	}
	return text
}

// amount is a number of bytes for people, in powers of 1024.
func amount(bytes int64) string {
	value, unit := float64(max(0, bytes)), ""
	for _, next := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if value < 1023.95 {
			break
		}
		value, unit = value/1024, next
	}
	if unit == "" {
		return fmt.Sprintf("%.0f bytes", value)
	}
	return fmt.Sprintf("%.1f %s", value, unit)
}
