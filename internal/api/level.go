package api

// Level is what a controller of this release understands of what agents send: 2, as the
// release before does. A controller refuses a body with a field that it does not know.
const Level = 2

// LevelHeader says the controller's level with each of its answers, so that an
// agent knows it whenever the controller is replaced by one of another release.
const LevelHeader = "Nicferry-API-Level"

// StandbyHeader is in the answers of a controller that stands by while another one
// works: the next address is to be tried.
const StandbyHeader = "Nicferry-Standby"
