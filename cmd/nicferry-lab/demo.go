//go:build linux

package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/internal/daemon"
	"github.com/nicferry/nicferry/internal/lab/demo"
	"github.com/nicferry/nicferry/internal/lab/vendors"
	"github.com/nicferry/nicferry/internal/lab/vmdemo"
)

type demoCommand struct {
	opts        vmdemo.Options
	local       bool
	aws, aliyun bool
}

func (d *demoCommand) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show nicferry's main job on two virtual machines, in two minutes",
		Long: `demo brings two virtual machines up, on a libvirtd and a network of their own,
plugs network cards into them for their containers, takes these back, takes the
machines down, and holds your machine before and after against each other.
Nothing of yours is touched. With --local it does without virtual machines: the
node itself makes the cards, with a private Docker engine in namespaces of its
own, in under a minute. With --aws the virtual machines are instances of an
emulated cloud: nicferryd speaks to it as to EC2, with AWS's own SDK, and it plugs
in what is attached; half-way it throttles calls and loses replies. With --aliyun
it is the same with Alibaba Cloud's ECS and VPC and its SDK. With --sriov a
virtual machine plays a physical host with two cards on two switches, which are cut
into virtual functions for its containers.`,
		Example: `  nicferry-lab demo
  nicferry-lab demo --local --json figures.json
  nicferry-lab demo --aws
  nicferry-lab demo --aliyun
  nicferry-lab demo --sriov`,
		Args: noArgs,
		RunE: d.run,
	}
	cmd.Flags().BoolVar(&d.local, "local", false, "without virtual machines")
	cmd.Flags().BoolVar(&d.aws, "aws", false, "with the virtual machines as instances of an emulated EC2")
	cmd.Flags().BoolVar(&d.aliyun, "aliyun", false, "with the virtual machines as instances of an emulated ECS of Alibaba Cloud")
	cmd.Flags().BoolVar(&d.opts.Metal, "sriov", false, "with one virtual machine that plays a physical host, whose cards have virtual functions")
	cmd.Flags().BoolVar(&d.opts.Plant, "plant", false, "leave a veth behind on purpose, and with --aws or --aliyun an interface: the demo must notice and fail")
	cmd.Flags().StringVar(&d.opts.JSON, "json", "", "write the figures to this file")
	cmd.Flags().StringVar(&d.opts.Bin, "bin", "", "where nicferry's programs are (default: beside this program)")
	cmd.Flags().StringVar(&d.opts.Dir, "dir", vmdemo.DefaultDir, "the directory of the virtual machines, which is there only while the demo runs")
	return cmd
}

func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return daemon.UsageError{Err: fmt.Errorf("want no arguments, got %q", args)}
	}
	return nil
}

func (d *demoCommand) run(cmd *cobra.Command, _ []string) error {
	if d.local && (d.aws || d.aliyun || d.opts.Metal) {
		return daemon.UsageError{Err: errors.New("--local has no virtual machines for --aws, --aliyun and --sriov")}
	}
	if d.aws && d.aliyun || (d.aws || d.aliyun) && d.opts.Metal {
		return daemon.UsageError{Err: errors.New("--aws, --aliyun and --sriov are demos of their own: want one of them")}
	}
	switch {
	case d.aws:
		d.opts.Cloud = new(vendors.EC2())
	case d.aliyun:
		d.opts.Cloud = new(vendors.ECS())
	}
	if err := needRoot(); err != nil {
		return err
	}
	var err error
	if d.opts.Bin, err = binDir(d.opts.Bin); err != nil {
		return err
	}
	d.opts.Out, d.opts.Progress = cmd.OutOrStdout(), cmd.ErrOrStderr()
	if d.local {
		return demo.Run(cmd.Context(), d.opts.Options)
	}
	return vmdemo.Run(cmd.Context(), d.opts)
}
