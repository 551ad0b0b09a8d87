//go:build linux

package cloudrig

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/site"
	"github.com/nicferry/nicferry/internal/lab/fleet"
	"github.com/nicferry/nicferry/internal/lab/vendors"
	"github.com/nicferry/nicferry/nic"
)

// NICs are those that the controller has a record of.
func (r *Rig) NICs(ctx context.Context) (map[nic.ID]nic.NIC, error) {
	out, err := r.CLI(ctx, "get", "nics", "-o", "json")
	if err != nil {
		return nil, err
	}
	var list struct{ Items []nic.NIC }
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return nil, err
	}
	all := map[nic.ID]nic.NIC{}
	for _, n := range list.Items {
		all[n.ID] = n
	}
	return all, nil
}

// The tags of what is ours; other is another installation's value of the second.
const tagNIC, tagCluster, other = "nicferry.io/nic", "nicferry.io/cluster", "other"

// Ours are the cloud's interfaces that carry our tag.
func (r *Rig) Ours() []cloudsim.Interface {
	var all []cloudsim.Interface
	for _, e := range r.Site.Cloud.Interfaces() {
		if of := e.Tags[tagCluster]; of != "" && of != other {
			all = append(all, e)
		}
	}
	return all
}

// CloudLog is the cloud's log from a number on, for people.
func (r *Rig) CloudLog(from int) string {
	if r.Site == nil {
		return ""
	}
	var text strings.Builder
	for _, e := range r.Site.Cloud.Log(from) {
		fmt.Fprintf(&text, "%d %s %s%s %s %s %s fault=%s effect=%t %s > %s %s\n", e.N, e.Time.Format("05.000"), e.API, e.Event, e.Resource, e.Instance,
			e.Code, e.Fault, e.Effect, e.Before, e.After, e.Caller)
	}
	return text.String()
}

// Must fails the test at an error.
func (r *Rig) Must(err error) {
	r.T.Helper()
	if err != nil {
		r.T.Fatal(err)
	}
}

// Run starts a container on a machine, in a network.
func (r *Rig) Run(a *fleet.Agent, name, network string, labels ...string) {
	r.T.Helper()
	r.Must(a.RunContainer(r.T.Context(), name, append(labels, "nicferry.network="+network)...))
}

// Remove takes a container away and waits until the cloud has deleted its interface.
func (r *Rig) Remove(a *fleet.Agent, name string, eni cloudsim.Interface) {
	r.T.Helper()
	_, err := a.Docker(r.T.Context(), "rm", "-f", name)
	r.Must(err)
	r.Goes(eni)
}

// Goes waits until the cloud has deleted an interface.
func (r *Rig) Goes(eni cloudsim.Interface) {
	r.T.Helper()
	r.Must(fleet.Until(r.T.Context(), eni.ID+" to be gone", func() error {
		for _, e := range r.Ours() {
			if e.ID == eni.ID {
				return fmt.Errorf("it is %+v", e)
			}
		}
		return nil
	}))
}

// Tell runs nicferry beside the controller and returns what it prints.
func (r *Rig) Tell(args ...string) string {
	r.T.Helper()
	out, err := r.CLI(r.T.Context(), args...)
	r.Must(err)
	return out
}

// Says waits until what the user is told of a container has a match of each of the
// patterns, and returns it.
func (r *Rig) Says(container string, patterns ...string) string {
	r.T.Helper()
	var out string
	r.Must(fleet.Until(r.T.Context(), fmt.Sprintf("the user to be told of %s: %q", container, patterns), func() (err error) {
		if out, err = r.CLI(r.T.Context(), "describe", "claim", container); err != nil {
			return err
		}
		for _, p := range patterns {
			if !regexp.MustCompile("(?s)" + p).MatchString(out) {
				err = errors.Join(err, fmt.Errorf("%q is not in:\n%s", p, out))
			}
		}
		return err
	}))
	return out
}

// Inject plans faults, and returns how to take them back.
func (r *Rig) Inject(faults ...cloudsim.Fault) (names []string) {
	r.T.Helper()
	names, err := r.Site.Cloud.Inject(faults...)
	r.Must(err)
	return names
}

// Struck says whether a fault that strikes once has done so.
func (r *Rig) Struck(name string) bool {
	for _, f := range r.Site.Cloud.Faults() {
		if f.Name == name {
			return f.Struck > 0
		}
	}
	return true
}

// Mark is a place in the cloud's log.
func (r *Rig) Mark() int { return len(r.Site.Cloud.Log(0)) }

// Effects are the calls since a mark that changed something, by API.
func (r *Rig) Effects(mark int) map[string]int {
	did := map[string]int{}
	for _, e := range r.Site.Cloud.Log(mark) {
		if e.Effect && e.API != "" {
			did[e.API]++
		}
	}
	return did
}

// Made wants a number of interfaces to have been made by us since a mark.
func (r *Rig) Made(mark, want int) {
	r.T.Helper()
	if n := r.Effects(mark)[vendors.Create]; n != want {
		r.T.Errorf("%d interfaces were made, want %d:\n%s", n, want, r.CloudLog(mark))
	}
}

// Holders are our interfaces in the cloud that have the address.
func (r *Rig) holders(addr netip.Addr) (all []cloudsim.Interface) {
	for _, e := range r.Ours() {
		if slices.ContainsFunc(e.IPv4, func(p cloudsim.PrivateIP) bool { return p.Addr == addr }) {
			all = append(all, e)
		}
	}
	return all
}

// CardIs wants the container's eth0 to be an interface of the cloud in each respect,
// and returns that.
func (r *Rig) CardIs(a *fleet.Agent, container string) cloudsim.Interface {
	r.T.Helper()
	ctx := r.T.Context()
	addr, err := a.AwaitAddress(ctx, container)
	r.Must(err)
	eni := cloudsim.Interface{}
	for _, e := range r.holders(addr) {
		eni = e
	}
	if eni.Attachment == nil || eni.Attachment.Status != cloudsim.Attached || !eni.Attachment.DeleteOnTermination {
		r.T.Fatalf("%s has %s; the cloud has %+v with the attachment %+v", container, addr, eni, eni.Attachment)
	}
	var subnet site.Subnet
	for _, s := range r.About.Subnets {
		if s.ID == eni.Subnet {
			subnet = s
		}
	}
	gateway := r.Vendor.Gateway(subnet)
	out, err := a.Docker(ctx, "exec", container, "sh", "-c", "ip -o link show dev eth0; ip -o addr show dev eth0; ip route; ping -c 1 -W 5 "+gateway.String())
	r.Must(err)
	for _, want := range []string{
		"link/ether " + eni.MAC.String() + " ", fmt.Sprintf("mtu %d ", r.Vendor.MTU), fmt.Sprintf("inet %s/%d ", addr, subnet.CIDR.Bits()),
		"default via " + gateway.String() + " dev eth0",
	} {
		if !strings.Contains(out, want) {
			r.T.Errorf("%s: want %q in:\n%s", container, want, out)
		}
	}
	return eni
}

// Await asks until it is so.
func (r *Rig) Await(what string, so func() bool) {
	r.T.Helper()
	r.Must(fleet.Until(r.T.Context(), what, func() error {
		if !so() {
			return errNotYet
		}
		return nil
	}))
}

// In runs a part under a name of its own.
func (r *Rig) In(t *testing.T, name string, part func(*Rig)) {
	t.Run(name, func(t *testing.T) {
		begin := time.Now()
		in := *r
		in.T = t
		part(&in)
		t.Log(time.Since(begin))
	})
}
