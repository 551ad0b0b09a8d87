package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// journalFile has what Mend did beside its drop-ins, so that Undo knows what was
// there before.
const journalFile = "var/lib/nicferry-doctor/done.json"

// A change is one thing that Mend did; one of its fields is set.
type change struct {
	Mode  string `json:"mode,omitempty"` // a path, whose mode was Was
	Was   string `json:"was,omitempty"`
	Group string `json:"group,omitempty"` // made
	Dir   string `json:"dir,omitempty"`   // made
}

func (t tree) journal() []change {
	text, _ := t.read(journalFile)
	var all []change
	if json.Unmarshal([]byte(text), &all) != nil {
		return nil // what nobody can read is undone by nobody
	}
	return all
}

func (t tree) writeJournal(all []change) error {
	text, err := json.MarshalIndent(all, "", "  ")
	if err == nil {
		err = t.writeMode(dropIn{journalFile, append(text, '\n')}, 0o600)
	}
	if err != nil {
		return fmt.Errorf("write /%s: %w", journalFile, err)
	}
	return nil
}

// record writes down what is to be done, and does it. If it cannot be done, it
// is taken from the journal again.
func (v *visit) record(c change, do func() error) error {
	before := v.journal()
	if err := v.writeJournal(append(slices.Clone(before), c)); err != nil {
		return err
	}
	if err := do(); err != nil {
		return errors.Join(err, v.writeJournal(before))
	}
	return nil
}

// unmend takes back what the journal says, last first.
func (v *visit) unmend(ctx context.Context) (did []string, err error) {
	if text, ok := v.read(modulesFile); ok && strings.HasPrefix(text, modulesHead) {
		if err := os.Remove(v.path(modulesFile)); err != nil {
			return nil, err
		}
		did = append(did, "removed /"+modulesFile+"; the modules stay loaded until the next boot")
	}
	all := v.journal()
	for len(all) > 0 {
		c := all[len(all)-1]
		said, uErr := v.takeBack(ctx, c)
		if uErr != nil {
			return did, errors.Join(err, uErr)
		}
		did = append(did, said)
		all = all[:len(all)-1]
		if err := v.writeJournal(all); err != nil {
			return did, err
		}
	}
	if v.exists(journalFile) {
		dir := strings.TrimSuffix(journalFile, "/done.json")
		err = errors.Join(os.Remove(v.path(journalFile)), ignoreNotEmpty(os.Remove(v.path(dir))))
	}
	return did, err
}

// takeBack undoes one change. The journal is root's, and yet nothing that it
// says makes more of anything: directories go if they are empty, groups go.
func (v *visit) takeBack(ctx context.Context, c change) (string, error) {
	switch {
	case c.Mode != "":
		return fmt.Sprintf("left the mode of %s, which was %s before --fix", c.Mode, c.Was), nil
	case c.Dir != "":
		if mode, there := v.mode(c.Dir); there && !mode.IsDir() {
			return "left " + c.Dir + ", which is no directory any more", nil
		}
		if err := os.Remove(v.path(c.Dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "left " + c.Dir + ", in which there is something", nil
		}
		return "removed " + c.Dir, nil
	case c.Group != "" && v.Run != nil:
		if _, there := v.members(c.Group); !there {
			return "group " + c.Group + " is gone already", nil
		}
		if _, err := v.Run(ctx, "groupdel", "--", c.Group); err != nil {
			return "", err
		}
		return "ran groupdel " + c.Group, nil
	}
	return "left what an older --fix did", nil
}

// ignoreNotEmpty is for a directory that somebody else uses too.
func ignoreNotEmpty(err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok && !errors.Is(pathErr, fs.ErrPermission) {
		return nil
	}
	return err
}
