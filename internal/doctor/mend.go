package doctor

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/pulse"
)

// reloadTime bounds how long a network manager may take to read its files.
const reloadTime = 10 * time.Second

// Mend writes the drop-ins, has the network managers read them, flushes what
// they have grabbed, loads modules that nobody loads, takes rights that others
// should not have, and makes the group and the directories that the controller's
// config names. It returns one line for each thing that it did, also
// with an error; twice is as good as once. It does nothing where that might cut
// the machine off.
func Mend(ctx context.Context, m Machine) (did []string, err error) {
	t := tree(m.Root)
	if m.Kernel != nil {
		if _, err := m.Kernel.Beat(ctx); errors.Is(err, pulse.ErrStuck) {
			return nil, err // and would be stuck with it
		}
	}
	nics, err := m.nics()
	if err != nil {
		return nil, err
	}
	for _, n := range nics {
		if n.ours() && t.onlyRouter(n) {
			return nil, fmt.Errorf("nothing done: %s has the machine's only default route, and its MAC, %s, begins as nicferry's do: "+
				"if it is the machine's own, give it another MAC; if not, set it down first", n.Name, n.MAC)
		}
	}
	v := newVisit(m)
	if t.udev() && (v.hasAgent() || !v.hasController()) {
		wrote, wErr := t.writeDropIns()
		err = wErr
		for _, path := range wrote {
			did = append(did, "wrote "+path)
		}
		if len(wrote) > 0 {
			told, tErr := t.reload(ctx)
			did, err = append(did, told...), errors.Join(err, tErr)
		}
	}
	flushed, fErr := m.flush(nics)
	did, err = append(did, flushed...), errors.Join(err, fErr)
	for _, mend := range []func(context.Context) ([]string, error){v.mendModules, v.mendModes, v.mendGroup, v.mendDirs} {
		more, mErr := mend(ctx)
		did, err = append(did, more...), errors.Join(err, mErr)
	}
	return did, err
}

// Undo takes away what Mend wrote: files, directories that are empty, and the
// group. A file that was changed by hand stays, and that is said; so do modules
// that were loaded, and rights that were taken: what was open is not opened again.
func Undo(ctx context.Context, m Machine) (did []string, err error) {
	t := tree(m.Root)
	removed, kept, err := t.removeDropIns()
	for _, path := range removed {
		did = append(did, "removed "+path)
	}
	for _, path := range kept {
		did = append(did, "left "+path+", which is not as this version wrote it")
	}
	if len(removed) > 0 {
		told, tErr := t.reload(ctx)
		did, err = append(did, told...), errors.Join(err, tErr)
	}
	more, uErr := newVisit(m).unmend(ctx)
	return append(did, more...), errors.Join(err, uErr)
}

// reload has those that run read their files. That changes nothing about NICs
// that they have already.
func (t tree) reload(ctx context.Context) (did []string, err error) {
	if t != "/" {
		return nil, nil
	}
	for _, r := range []struct {
		process string
		command []string
	}{
		{"systemd-udevd", []string{"udevadm", "control", "--reload"}},
		{"systemd-networkd", []string{"networkctl", "reload"}},
	} {
		if !t.process(r.process) {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, reloadTime)
		out, rErr := exec.CommandContext(ctx, r.command[0], r.command[1:]...).CombinedOutput()
		cancel()
		if line := strings.Join(r.command, " "); rErr != nil {
			err = errors.Join(err, fmt.Errorf("have %s read its files: %s: %w: %.200q", r.process, line, rErr, out))
		} else {
			did = append(did, "ran "+line)
		}
	}
	return did, err
}

// nics are the machine's, or none where no kernel is asked.
func (m Machine) nics() ([]NIC, error) {
	if m.Kernel == nil {
		return nil, nil
	}
	nics, err := m.Kernel.NICs()
	if err != nil {
		return nil, fmt.Errorf("look for grabbed NICs: %w", err)
	}
	return nics, nil
}

// flush takes their addresses from NICs of ours that were grabbed.
func (m Machine) flush(nics []NIC) (did []string, err error) {
	for _, n := range nics {
		if !n.ours() || !n.Up && len(n.Addrs) == 0 {
			continue
		}
		if fErr := m.Kernel.Flush(n); fErr != nil {
			err = errors.Join(err, fmt.Errorf("flush %s: %w", n.Name, fErr))
			continue
		}
		did = append(did, fmt.Sprintf("took %d addresses from %s and set it down", len(n.Addrs), n.Name))
	}
	return did, err
}
