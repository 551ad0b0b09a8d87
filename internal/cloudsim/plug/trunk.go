//go:build linux

package plug

import (
	"encoding/hex"
	"errors"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/link"
)

// tagged and plain are the names of a member's cable: from the trunk's port, whose VLAN it
// is tied to, to the bridge.
func tagged(mac cloudsim.MAC) string { return "m" + hex.EncodeToString(mac[:]) }
func plain(mac cloudsim.MAC) string  { return "q" + hex.EncodeToString(mac[:]) }

// ofInstance is the alias of the cables of an instance's members.
func ofInstance(instance string) string { return AliasPrefix + instance }

// join lets what comes in at a port with the VLAN's tag come to the bridge without it, and
// what goes the other way get it. What is in the machine is the machine's to make.
func join(ports *link.Handle, instance, bridge, port string, vlan int, mac cloudsim.MAC) (err error) {
	master, err := ports.IndexOf(bridge)
	if err != nil {
		return err
	}
	below, err := ports.ByName(port)
	if err != nil {
		return err
	}
	if err := ports.AddPair(link.Pair{Name: plain(mac), PeerName: tagged(mac), MTU: below.MTU, Master: master}); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, leave(ports, port, vlan, mac))
		}
	}()
	for _, name := range []string{plain(mac), tagged(mac)} {
		end, err := ports.ByName(name)
		if err != nil {
			return err
		}
		if err := ports.Set(end, link.Change{Up: new(true), Alias: new(ofInstance(instance))}); err != nil {
			return err
		}
	}
	above, err := ports.ByName(tagged(mac))
	if err != nil {
		return err
	}
	return ports.Tie(below, above, vlan)
}

// leave ends that. What is not there is no error; a port that is gone has no VLANs.
func leave(ports *link.Handle, port string, vlan int, mac cloudsim.MAC) error {
	below, err := ports.ByName(port)
	if err == nil {
		err = ports.Untie(below, vlan)
	}
	if errors.Is(err, link.ErrNotFound) {
		err = nil
	}
	end, missing := ports.ByName(plain(mac))
	switch {
	case errors.Is(missing, link.ErrNotFound):
		return err
	case missing != nil:
		return errors.Join(err, missing)
	}
	return errors.Join(err, ports.Delete(end))
}

// leaveAll ends it for all members of an instance, whoever made them.
func leaveAll(ports *link.Handle, instance string) error {
	all, err := ports.ByAlias(ofInstance(instance))
	for _, end := range all {
		err = errors.Join(err, ports.Delete(end)) // also where it went with the other end
	}
	return err
}
