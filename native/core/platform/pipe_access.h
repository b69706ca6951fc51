// Who may connect to a named pipe of this process. Windows only: elsewhere sockets lie in folders.
#pragma once

#include <string>

namespace nmos::os {

// Lets nobody but this user connect to a pipe on which this process listens, whichever access list it was made with, and returns
// the list that the system has of it then, in the system's language for them (SDDL). Empty, with the system's reason in `error`,
// when it cannot be changed. Name and texts are UTF-8. Any thread.
std::string keep_pipe_to_user(const std::string& name, std::string& error);

}  // namespace nmos::os
