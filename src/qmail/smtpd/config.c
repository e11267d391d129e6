/* The control files of qmail-smtpd: see config.h; their meaning is in lib/controls.def. */
#include "smtpd/config.h"

#include "lib/control.h"
#include "lib/controls.h"
#include "lib/idn.h"

#include <stdlib.h>
#include <string.h>

static bool
read_numbers(struct config *config, const char **broken)
{
	const struct {
		const char *name;
		unsigned long *value;
	} numbers[] = {
	    {"timeoutsmtpd", &config->timeout},
	    {"smtpsessiontime", &config->session_time},
	    {"timeoutfirst", &config->timeout_first},
	    {"timeoutlogin", &config->timeout_login},
	    {"timeouttls", &config->timeout_tls},
	    {"timeoutcrowded", &config->timeout_crowded},
	    {"databytes", &config->databytes},
	    {"smtpcommandlength", &config->command_length},
	    {"smtplinelength", &config->line_length},
	    {"smtprecipients", &config->recipients},
	    {"smtpcommands", &config->commands},
	    {"smtperrors", &config->errors},
	    {"smtphops", &config->hops},
	    {"greetdelay", &config->greet_delay},
	    {"relayprobes", &config->relay_probes},
	    {"nullsendersplit", &config->null_sender_split},
	    {"receivedclient", &config->received_client},
	    {"authdelay", &config->auth_delay},
	    {"authfailures", &config->auth_failures},
	    {"authtimeout", &config->auth_timeout},
	};
	size_t i;

	for (i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		*broken = numbers[i].name;
		if (!controls_number(numbers[i].name, numbers[i].value))
			return false;
	}
	return true;
}

/* One of some words, of which the first holds while there is no such file. */
static bool
read_word(const char *name, const char *const words[], unsigned *number)
{
	struct str word = STR_INIT;
	enum control result = control_line(name, &word);

	*number = 0;
	while (result == CONTROL_OK && words[*number] && !str_equal(&word, words[*number]))
		++*number;
	str_free(&word);
	return result != CONTROL_ERROR && words[*number];
}

static bool
read_checks(struct config *config, const char **broken)
{
	static const char *const helo[] = {"none", "own", "syntax", "resolves", NULL};
	static const char *const reverse[] = {"none", "mark", "refuse", NULL};
	unsigned number;

	*broken = "helocheck";
	if (!read_word(*broken, helo, &number))
		return false;
	config->helo_check = (enum helo_check)number;
	*broken = "reversecheck";
	if (!read_word(*broken, reverse, &number))
		return false;
	config->reverse_check = (enum reverse_check)number;
	return true;
}

static bool
read_lines(struct config *config, const char **broken)
{
	*broken = "smtpgreeting";
	if (control_line_or_me("smtpgreeting", &config->greeting, NULL) != CONTROL_OK)
		return false;
	*broken = "localiphost";
	if (control_line_or_me("localiphost", &config->localiphost, "") != CONTROL_OK)
		return false;
	*broken = "serverciphers";
	return control_line("serverciphers", &config->ciphers) != CONTROL_ERROR;
}

static bool
read_lists(struct config *config, const char **broken)
{
	*broken = "rcpthosts";
	if (control_list("rcpthosts", &config->rcpthosts) == CONTROL_ERROR)
		return false;
	*broken = "badmailfrom";
	if (control_list("badmailfrom", &config->badmailfrom) == CONTROL_ERROR)
		return false;
	idn_keys(&config->rcpthosts);
	list_sort(&config->rcpthosts);
	list_sort(&config->badmailfrom);
	return true;
}

bool
config_read(struct config *config, const char **broken)
{
	const char *databytes = getenv("DATABYTES");

	*config = (struct config){
	    .greeting = STR_INIT,
	    .localiphost = STR_INIT,
	    .ciphers = STR_INIT,
	    .rcpthosts = LIST_INIT,
	    .badmailfrom = LIST_INIT,
	};
	if (!read_numbers(config, broken) || !read_lines(config, broken) ||
	    !read_checks(config, broken) || !read_lists(config, broken))
		return false;
	*broken = "DATABYTES";
	return !databytes ||
	       number_parse(databytes, controls_find("databytes")->max, &config->databytes);
}
