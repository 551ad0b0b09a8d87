package main

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/internal/conf"
	"github.com/nicferry/nicferry/internal/doctor"
	"github.com/nicferry/nicferry/internal/version"
)

// doctorCommand is "nicferry doctor".
type doctorCommand struct {
	*app
	format     string
	config     string
	controller string
	fix, undo  bool
}

// errNotWell ends a run that found something to fail on, told already.
var errNotWell = errors.New("something here keeps nicferry from working; see the lines with FAIL")

func (d *doctorCommand) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Find what on this machine would keep NICs from containers, and mend it",
		Long: `Find what on this machine would keep NICs from containers, and mend it.

To be run as root, where the containers are and where the controller is. It needs
no controller to answer, and waits 2 s at most for each thing that it asks.

On a node it looks at the kernel and its modules, hot-plug slots, SR-IOV and
IOMMU, Docker, who reaches an EC2 instance's metadata, names, certificates, clocks,
the agent and its way to the controller, and at who else would configure or rename a NIC that is plugged in.
Where there is a controller's config it looks at the store, the socket, the port,
providers, switches, and at what the controller says of itself and of its nodes.
Each finding has the command that mends it.

--fix does what is safe. It writes files below /etc that tell udev,
systemd-networkd, NetworkManager, ifupdown and cloud-init to leave nicferry's NICs
alone, has udev and systemd-networkd read them, and takes the addresses from NICs
that were grabbed. It loads modules that nobody would load, now and at boot; takes
rights on keys, configs, the store and sockets from others; and makes the group
and the directories that the controller's config names. It says what it did.
--undo takes away what --fix wrote and made; what it closed stays closed.

Exit code 1 if a line says FAIL.`,
		Example: `  nicferry doctor
  nicferry doctor --fix
  nicferry doctor -o json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return d.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&d.format, "output", "o", "table", "the `format`: table, json, yaml")
	flags.StringVar(&d.config, "config", conf.AgentPath, "the agent's config `file`, for where Docker and the controller are")
	flags.StringVar(&d.controller, "controller-config", conf.ControllerPath, "the controller's config `file`; where there is one, the controller is examined too")
	flags.BoolVar(&d.fix, "fix", false, "write what is missing and flush NICs that were grabbed, then look again")
	flags.BoolVar(&d.undo, "undo", false, "take away what --fix wrote")
	return cmd
}

func (d *doctorCommand) run(ctx context.Context) error {
	if err := checkFormat(d.format, "table"); err != nil {
		return err
	}
	if d.fix && d.undo {
		return usagef("--fix and --undo: want one of them")
	}
	m, done, err := d.machine()
	if err != nil {
		return err
	}
	defer done()
	if d.fix || d.undo {
		if err := d.change(ctx, m); err != nil || d.undo {
			return err
		}
	}
	findings := doctor.Examine(ctx, m)
	if err := d.show(findings); err != nil {
		return err
	}
	if doctor.Worst(findings) == doctor.Fail {
		return errNotWell
	}
	return nil
}

// machine is the one we run on.
func (d *doctorCommand) machine() (m doctor.Machine, done func(), err error) {
	kernel, err := doctor.Open()
	if err != nil {
		return m, nil, err
	}
	m = doctor.Machine{
		Root: "/", DockerSocket: conf.DefaultDockerSocket, Kernel: kernel, AgentConfig: d.config, ControllerConfig: d.controller,
		Network: wire{new(net.Resolver), new(net.Dialer)}, Run: doctor.Programs, Version: version.Get().Version, Now: d.now,
	}
	if agent, err := conf.LoadAgent(d.config); err == nil {
		m.DockerSocket = agent.Docker.Socket
	}
	return m, func() { kernel.Close() }, nil
}

// wire is this machine's.
type wire struct {
	*net.Resolver
	*net.Dialer
}

// change mends or undoes, and tells on stderr what it did.
func (d *doctorCommand) change(ctx context.Context, m doctor.Machine) error {
	do := doctor.Mend
	if d.undo {
		do = doctor.Undo
	}
	did, err := do(ctx, m)
	for _, line := range did {
		fmt.Fprintln(d.err, clean(line))
	}
	if len(did) == 0 && err == nil {
		fmt.Fprintln(d.err, "nothing to do")
	}
	return err
}

func (d *doctorCommand) show(findings []doctor.Finding) error {
	if d.format != "table" {
		return encode(d.out, d.format, struct {
			State    doctor.State     `json:"state"`
			Findings []doctor.Finding `json:"findings"`
		}{doctor.Worst(findings), findings})
	}
	w := newTable(d.out)
	for _, f := range findings {
		fmt.Fprintf(w, "%s\t%s\t%s\n", f.State, f.Check, oneLine(f.Says))
		if f.Remedy != "" {
			fmt.Fprintf(w, "\t\t→ %s\n", oneLine(f.Remedy))
		}
	}
	return w.Flush()
}
