//go:build linux

package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/lab/fleet"
	"github.com/nicferry/nicferry/nic"
)

// A scene is a container that answers a peer outside, for one case on a rig:
//
//	s := r.scene(t, "both", nil)                  // runs on vm1 and answers
//	s.do(s.migrate(r.vm2))                        // nicferry migrate NAME --to vm2
//	s.settled(r.vm2)                              // it runs there alone, and answers
//
// At the end its containers are removed, and what must always hold is looked at.
type scene struct {
	*rig
	t    *testing.T
	name string
	peer *peer
	// As they were before the move, which must not change them.
	addrs []netip.Addr // the first is IPv4
	claim nic.ClaimID
	mac   nic.MAC
	began time.Time
}

// settleTime is within what a container must be somewhere and answer again, or its
// move be parked, from when the last fault is done.
const settleTime = time.Minute

// scene starts a container on vm1, with a NIC of the network, and waits until it
// answers. Flags are further ones of docker run, in which %s is the container's name;
// the command is its image's unless one is given.
func (r *rig) scene(t *testing.T, network string, flags []string, command ...string) *scene {
	t.Helper()
	s := &scene{rig: r, t: t, began: time.Now()}
	s.name = strings.ToLower(strings.NewReplacer("/", "-", "_", "-", " ", "-", "=", "-").Replace(t.Name()))
	s.name = s.name[max(0, len(s.name)-20):] + "-" + strconv.FormatInt(time.Now().UnixMicro()%1e9, 36) // no two in a test have the same
	s.name = strings.Trim(s.name, "-")
	t.Cleanup(s.end)
	args := []string{"run", "-d", "--network", "none", "--restart", "always", "--name", s.name, "--hostname", "echo", "--env", "COLOUR=green"}
	args = append(args, "--label", "nicferry.network="+network)
	for _, flag := range flags {
		args = append(args, strings.ReplaceAll(flag, "%s", s.name))
	}
	_, err := r.vm1.Docker(t.Context(), append(append(args, echoImage), command...)...)
	s.do(err)
	s.do(fleet.Until(t.Context(), "the claim of "+s.name+" to be bound", s.bound))
	s.peer, err = newPeer(t.Context(), r.Fleet, s.addrs[0])
	s.do(err)
	s.do(s.peer.heard(t.Context(), settleTime))
	return s
}

// claims are the container's, wherever it is.
func (s *scene) claims(ctx context.Context) ([]api.ClaimView, error) {
	out, err := s.CLI(ctx, "get", "claims", "-o", "json")
	if err != nil {
		return nil, err
	}
	var list api.List[api.ClaimView]
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list.Items, func(c api.ClaimView) bool { return c.Container != s.name }), nil
}

// bound is an error while the container has not one claim that is bound; it notes
// what that one has.
func (s *scene) bound() error {
	all, err := s.claims(s.t.Context())
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(c api.ClaimView) bool { return c.Owner.Interface == "eth0" })
	if i < 0 || all[i].Phase != nic.ClaimBound || len(addrs(all[i])) == 0 {
		return fmt.Errorf("its claims are %+v", all)
	}
	s.claim, s.mac, s.addrs = all[i].ID, all[i].Identity.MAC, addrs(all[i])
	return nil
}

// addrs are those that the node says the claim's NIC has, IPv4 first, without
// those that the kernel makes.
func addrs(c api.ClaimView) (found []netip.Addr) {
	if c.Observed == nil {
		return nil
	}
	for _, p := range c.Observed.Addrs {
		if !p.Addr().IsLinkLocalUnicast() {
			found = append(found, p.Addr())
		}
	}
	slices.SortFunc(found, netip.Addr.Compare)
	return found
}

// migrate has the container moved, and waits for the end.
func (s *scene) migrate(to *fleet.Agent, flags ...string) error {
	out, err := s.CLI(s.t.Context(), append([]string{"migrate", s.name, "--to", to.Name}, flags...)...)
	s.t.Logf("%5.1f s  nicferry migrate --to %s: %v\n%s", time.Since(s.began).Seconds(), to.Name, err, out)
	return err
}

// settled wants the container to run on that machine alone and to answer from
// there, with what it had, within 30 s.
func (s *scene) settled(at *fleet.Agent) {
	s.t.Helper()
	begin := time.Now()
	s.do(s.rests(at))
	s.t.Logf("%5.1f s  settled on %s after %.1f s", time.Since(s.began).Seconds(), at.Name, time.Since(begin).Seconds())
}

func (s *scene) rests(at *fleet.Agent) error {
	ctx, cancel := context.WithTimeout(s.t.Context(), settleTime)
	defer cancel()
	err := fleet.Until(ctx, s.name+" to run on "+at.Name+" alone", func() error {
		if where := s.places.where(s.name); len(where) != 1 || where[0] != at.Name {
			return fmt.Errorf("it runs on %q", where)
		}
		return nil
	})
	if err == nil {
		err = s.peer.heard(ctx, settleTime)
	}
	if err != nil {
		return err
	}
	return fleet.Until(ctx, "the claim of "+s.name+" to rest", func() error { return s.asItWas(at) })
}

// asItWas is an error if the claim is another than it was, or not bound on that
// machine.
func (s *scene) asItWas(at *fleet.Agent) error {
	all, err := s.claims(s.t.Context())
	if err != nil {
		return err
	}
	for _, c := range all {
		if c.Owner.Interface != "eth0" {
			continue
		}
		if c.ID != s.claim || c.Identity.MAC != s.mac || !slices.Equal(addrs(c), s.addrs) {
			return fmt.Errorf("its claim was %s with %s and %s, and is %+v", s.claim, s.mac, s.addrs, c)
		}
		if c.Phase != nic.ClaimBound || c.Owner.Node != at.Name {
			return fmt.Errorf("its claim is %s, of %s: %v", c.Phase, c.Owner, c.Conditions)
		}
		return nil
	}
	return errors.New("it has no claim")
}

// end takes the case's containers away, heals all faults, and looks whether all
// that must always hold does.
func (s *scene) end() {
	if s.peer != nil {
		s.peer.close()
		if who := s.peer.crossed(); who != "" {
			s.t.Errorf("the program that had been started as %s answered after a later one", who)
		}
	}
	if s.t.Failed() {
		return // the rig is not as it should be; what is there is shown
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.t.Context()), startTime)
	defer cancel()
	for _, a := range s.Agents {
		s.faults[a.Name].heal()
		_, err := a.Docker(ctx, "rm", "-f", "-v", s.name) // no error if there is none
		s.do(err)
		_, err = a.Docker(ctx, "volume", "rm", "-f", s.name)
		s.do(err)
	}
	s.do(s.holds(ctx))
	for _, wrong := range s.wrong() {
		s.t.Error(wrong)
	}
}

// do fails the test at an error.
func (s *scene) do(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// powerOff has a machine lose its power.
func (s *scene) powerOff(a *fleet.Agent) {
	s.t.Helper()
	s.off[a.Name] = true
	s.do(a.PowerOff())
}

// powerOn has it back, with its agent.
func (s *scene) powerOn(a *fleet.Agent) {
	s.t.Helper()
	s.do(a.PowerOn(s.t.Context(), true))
	delete(s.off, a.Name)
}
