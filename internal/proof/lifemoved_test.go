package proof

import (
	"fmt"
	"slices"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// toAndFro is the life of a container that moves to another node: there and back
// before the pivot, there again, and for good.
func (l *life) toAndFro() error {
	web := l.agent.run(1, nic.Request{Network: "life"})
	m := MoveArgs{Move: nic.NewMoveID(), To: "vm2", Name: "0002"}
	if err := l.step("bound, and the other node is there", func(s Sight) bool {
		if s.bound() == 1 && l.there.session != 0 {
			m.Claims = []nic.ClaimID{s.Claims[0].ID}
		}
		return m.Claims != nil
	}); err != nil {
		return err
	}
	if err := l.ask("begin", m); err != nil {
		return err
	}
	next := l.there.run(2, nic.Request{Network: "life"})
	next.running = false
	m.Sandbox = next.owner.Sandbox
	if err := l.ask("aim", m); err != nil {
		return err
	}
	for i, node := range []string{"vm2", "vm1", "vm2"} {
		web.running, next.running = false, false
		m.To = node
		if err := l.ask("bring", m); err != nil {
			return err
		}
		web.running, next.running = node == "vm1", node == "vm2"
		what := fmt.Sprintf("in on %s, turn %d", node, i)
		if err := l.step(what, func(s Sight) bool { return slices.Equal(s.In, []string{node}) }); err != nil {
			return err
		}
	}
	if err := l.ask("finish", m); err != nil {
		return err
	}
	if err := l.step("bound on the other node", func(s Sight) bool { return s.bound() == 1 && s.Claims[0].Owner == next.owner }); err != nil {
		return err
	}
	web.gone = true
	if err := l.ask("forget", MoveArgs{To: "vm1", Sandbox: web.owner.Sandbox}); err != nil {
		return err
	}
	next.running, next.gone = false, true
	return l.step("gone", func(s Sight) bool { return len(s.Claims) == 0 })
}

// ask asks until it is done; the controller may be killed meanwhile.
func (l *life) ask(verb string, m MoveArgs) error {
	m.Verb = verb
	var err error
	for end := time.Now().Add(stepTime); time.Now().Before(end); time.Sleep(time.Millisecond) {
		answers, bad := l.serve()
		if bad != nil {
			return fmt.Errorf("%s: %w", verb, bad)
		}
		if !answers {
			continue
		}
		if err = (farController{l.client}).Move(m); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%s not done within %s: %w", verb, stepTime, err)
}
