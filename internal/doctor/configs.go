package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/nicferry/nicferry/internal/conf"
	"github.com/nicferry/nicferry/internal/identity/layout"
)

// newVisit fills in what is optional, and reads the configs.
func newVisit(m Machine) *visit {
	m.AgentConfig = cmp.Or(m.AgentConfig, conf.AgentPath)
	m.ControllerConfig = cmp.Or(m.ControllerConfig, conf.ControllerPath)
	m.patience = cmp.Or(m.patience, askTime)
	if m.Now == nil {
		m.Now = time.Now
	}
	v := &visit{Machine: m, tree: tree(m.Root)}
	v.agent, v.agentErr = readConfig(v.tree, m.AgentConfig, conf.ParseAgent)
	v.controller, v.controllerErr = readConfig(v.tree, m.ControllerConfig, conf.ParseController)
	return v
}

// hasController says whether a controller is set up on the machine.
func (v *visit) hasController() bool {
	return v.controllerErr == nil || !errors.Is(v.controllerErr, fs.ErrNotExist)
}

// hasAgent says whether an agent is set up on the machine, or runs by its defaults.
func (v *visit) hasAgent() bool {
	return v.agentErr == nil || !errors.Is(v.agentErr, fs.ErrNotExist) ||
		v.exists(v.identityDir()+"/"+layout.Record) || v.process("nicferry-agent")
}

// readConfig reads one of the configs; the error is fs.ErrNotExist or
// fs.ErrPermission where it is one of those.
func readConfig[T any](t tree, path string, parse func(string, []byte) (*T, error)) (*T, error) {
	text, ok := t.read(path)
	if ok {
		return parse(path, []byte(text))
	}
	if err := t.unreadable(path); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%s is no file that can be read", path)
}

// unreadable says why a file cannot be read; nil if it seems that it can.
func (t tree) unreadable(path string) error {
	f, err := os.OpenFile(t.path(path), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err == nil {
		return f.Close()
	}
	pathErr, _ := errors.AsType[*fs.PathError](err)
	if pathErr == nil {
		return err
	}
	return fmt.Errorf("%s: %w", path, pathErr.Err) // as it is called on the machine
}

// maxFaults is how many of a config's faults are shown.
const maxFaults = 3

// tellConfig says what is wrong with a config that is there.
func (v *visit) tellConfig(path, check string, err error) {
	switch faults := conf.AsFaults(err); {
	case err == nil:
		v.ok("%s is accepted", path)
	case len(faults) > 0:
		for _, f := range faults[:min(len(faults), maxFaults)] {
			v.fail(check+", and mend the line", "%s", fmt.Sprint(f))
		}
	case errors.Is(err, fs.ErrPermission):
		v.warn("run it as root", "cannot look: %v", err)
	default:
		v.fail("put a file there: "+check, "%v", err)
	}
}

func checkAgentConfig(_ context.Context, v *visit) {
	if errors.Is(v.agentErr, fs.ErrNotExist) {
		if v.exists(v.identityDir() + "/" + layout.Record) {
			v.ok("no %s; the agent goes by what it was given when it joined", v.AgentConfig)
			return
		}
		v.ok("no %s: this machine has no agent", v.AgentConfig)
		return
	}
	v.tellConfig(v.AgentConfig, "nicferry config check --agent "+v.AgentConfig, v.agentErr)
}

func checkControllerConfig(_ context.Context, v *visit) {
	v.tellConfig(v.ControllerConfig, "nicferry config check "+v.ControllerConfig, v.controllerErr)
	if v.controllerErr == nil && !v.process("nicferryd") {
		v.fail("systemctl start nicferryd", "nicferryd does not run: containers keep their NICs, and new ones get none")
	}
}

// short takes what is said of a connection down to its end.
func short(err error) string {
	text := strings.TrimSpace(err.Error())
	return strings.ReplaceAll(text, "\n", "; ")
}
