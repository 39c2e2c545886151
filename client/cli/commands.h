// The subcommands. Each function adds its own to `app`; what they do when chosen works on
// `session`, which must outlive `app`.
#pragma once

#include "CLI/App.hpp"
#include "client/cli/session.h"

namespace aibackend::cli {

void AddChatCommand(CLI::App& app, Session& session);
void AddRetrieveCommand(CLI::App& app, Session& session);
void AddUploadCommand(CLI::App& app, Session& session);
void AddDocumentsCommands(CLI::App& app, Session& session);  // documents …, seed
void AddCollectionsCommands(CLI::App& app, Session& session);
void AddJobsCommands(CLI::App& app, Session& session);
void AddEvalCommand(CLI::App& app, Session& session);
void AddKeysCommands(CLI::App& app, Session& session);
void AddLimitsCommands(CLI::App& app, Session& session);  // limits …, quota
void AddPricesCommands(CLI::App& app, Session& session);
void AddUsageCommands(CLI::App& app, Session& session);
void AddRequestCommand(CLI::App& app, Session& session);
void AddServiceCommands(CLI::App& app, Session& session);  // models, health

}  // namespace aibackend::cli
