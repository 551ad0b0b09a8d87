package main

import (
	"fmt"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/conf"
	"github.com/nicferry/nicferry/internal/events"
	"github.com/nicferry/nicferry/internal/version"
)

// beginEvents makes the log of what happens, whose first events are the start and
// what was read for it.
func beginEvents(c *conf.Controller) *events.Log {
	log := events.New(events.Options{})
	log.Add(api.Event{Reason: "ControllerStarted", Message: "nicferryd " + version.Get().Version + " has started"})
	log.Add(api.Event{Reason: "ConfigLoaded", Message: fmt.Sprintf("%d networks, %d providers", len(c.Networks), len(c.Providers))})
	return log
}
