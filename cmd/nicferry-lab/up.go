//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/internal/cloudsim/site"
	"github.com/nicferry/nicferry/internal/daemon"
	"github.com/nicferry/nicferry/internal/lab/cluster"
	"github.com/nicferry/nicferry/internal/lab/hyper"
)

// labCommands are those that deal with a lab of virtual machines.
func labCommands() []*cobra.Command {
	return []*cobra.Command{upCommand(), statusCommand(), execCommand(), logsCommand(), downCommand()}
}

// dirFlag says which lab is meant.
func dirFlag(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "dir", cluster.DefaultDir, "the lab's own directory")
}

func upCommand() *cobra.Command {
	var opts cluster.Options
	var kind string
	var aws, aliyun, sriov bool
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Bring up virtual machines with a Docker engine and an agent each",
		Long: `up brings up a lab: a libvirtd of its own, a switch, a DHCP server, nicferryd,
and virtual machines, all in namespaces of their own. Your libvirt, your network
and your files are not touched. It stays up until 'nicferry-lab down'. With --aws
the virtual machines are instances of an emulated EC2, which nicferryd has its NICs
from; its network is called vpc. With --aliyun they are those of an emulated ECS of
Alibaba Cloud. With --sriov there is one, which plays a physical
host: it has two cards, each on a switch of its own and cut into 7 VFs, for the
networks vf100, vf200, bond100 and bond200, and peers on VLANs 100 and 200.`,
		Example: `  nicferry-lab up
  nicferry-lab exec vm1 -- docker run -d --network none --label nicferry.network=lab nicferry-lab/busybox sleep 600
  nicferry-lab down
  nicferry-lab up --sriov
  nicferry-lab exec vm1 -- docker run -d --network none --label nicferry.network=bond100 nicferry-lab/busybox sleep 600
  nicferry-lab exec host -- ip netns exec peer100 ping 10.100.0.200`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needRoot(); err != nil {
				return err
			}
			if sriov {
				opts.Metal = &cluster.Metal{VFs: cluster.MaxVFs}
				if !cmd.Flags().Changed("nodes") {
					opts.Nodes = 1
				}
			}
			opts.Switch, opts.Out = cluster.Switch(kind), cmd.ErrOrStderr()
			var err error
			if opts.Cloud, err = cloudOf(aws, aliyun); err != nil {
				return err
			}
			if opts.Bin, err = binDir(opts.Bin); err != nil {
				return err
			}
			lab, err := cluster.Up(cmd.Context(), opts)
			if errors.Is(err, hyper.ErrRuns) {
				return fmt.Errorf("%w: 'nicferry-lab status' shows it, 'nicferry-lab down' ends it", err)
			}
			if err != nil {
				return err
			}
			status, err := lab.Status(cmd.Context())
			if err == nil {
				fmt.Fprint(cmd.OutOrStdout(), status)
			}
			return errors.Join(err, lab.Close())
		},
	}
	dirFlag(cmd, &opts.Dir)
	cmd.Flags().IntVar(&opts.Nodes, "nodes", 2, "how many virtual machines, 1 to 16")
	cmd.Flags().IntVar(&opts.Ports, "ports", 16, "how many NICs can be plugged into each, 1 to 64")
	cmd.Flags().IntVar(&opts.MemoryMiB, "memory", 1536, "memory of each, in MiB")
	cmd.Flags().StringVar(&kind, "switch", string(cluster.LinuxBridge), "what NICs are plugged into: bridge or ovs")
	cmd.Flags().BoolVar(&aws, "aws", false, "have the virtual machines be instances of an emulated EC2")
	cmd.Flags().BoolVar(&aliyun, "aliyun", false, "have the virtual machines be instances of an emulated ECS of Alibaba Cloud")
	cmd.Flags().BoolVar(&sriov, "sriov", false, "have the virtual machines, one unless told otherwise, play physical hosts with cards that have VFs")
	cmd.Flags().StringVar(&opts.Bin, "bin", "", "where nicferry's programs are (default: beside this program)")
	return cmd
}

// cloudOf is the cloud whose instances the virtual machines are; nil for none.
func cloudOf(aws, aliyun bool) (*cluster.Cloud, error) {
	switch {
	case aws && aliyun:
		return nil, daemon.UsageError{Err: errors.New("--aws and --aliyun: want one of them")}
	case aws:
		return &cluster.Cloud{API: site.EC2, Latency: true, Throttle: true}, nil
	case aliyun:
		return &cluster.Cloud{API: site.ECS, Latency: true, Throttle: true}, nil
	}
	return nil, nil
}

func needRoot() error {
	if os.Geteuid() != 0 {
		return daemon.UsageError{Err: errors.New("needs root to make network namespaces; run it with sudo")}
	}
	return nil
}

// binDir is the folder of nicferry's programs.
func binDir(given string) (string, error) {
	if given != "" {
		return filepath.Abs(given)
	}
	self, err := os.Executable()
	return filepath.Dir(self), err
}

func statusCommand() *cobra.Command {
	var dir, output string
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Show the lab, and whether its parts answer",
		Example: "  nicferry-lab status -o json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "table" && output != "json" {
				return daemon.UsageError{Err: fmt.Errorf("-o %q: want table or json", output)}
			}
			lab, err := cluster.Find(cmd.Context(), dir)
			if err != nil {
				return hint(err)
			}
			status, err := lab.Status(cmd.Context())
			if err == nil && output == "json" {
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(status)
			} else if err == nil {
				fmt.Fprint(cmd.OutOrStdout(), status)
			}
			return errors.Join(err, lab.Close())
		},
	}
	dirFlag(cmd, &dir)
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	return cmd
}

// hint says what to do where there is no lab.
func hint(err error) error {
	if errors.Is(err, hyper.ErrNone) {
		return fmt.Errorf("%w: bring one up with 'nicferry-lab up'", err)
	}
	return err
}

func downCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Take the lab down with all that is in it",
		Long: `down ends every process of the lab and removes its directory. It may be called
twice, and after a crash.`,
		Example: "  nicferry-lab down",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needRoot(); err != nil {
				return err
			}
			return cluster.Down(cmd.Context(), dir)
		},
	}
	dirFlag(cmd, &dir)
	return cmd
}
