"""The strings of the Words tab."""

WORDS: dict[str, tuple[str, str]] = {
    "tab_words": ("Words", "文字"),
    "part_zero_shot": ("Zero-shot", "零样本"),
    "part_caption": ("Caption", "描述"),
    "part_contrast": ("Loss", "损失"),
    # pictures and nets
    "words_samples": ("Samples: six drawings, one photo", "示例：六张图画，一张照片"),
    "words_sample_apple": ("Apple, a drawing", "苹果，图画"),
    "words_sample_fish": ("Fish, a drawing", "鱼，图画"),
    "words_sample_house": ("House, a drawing", "房子，图画"),
    "words_sample_sun": ("Sun, a drawing", "太阳，图画"),
    "words_sample_tree": ("Tree, a drawing", "树，图画"),
    "words_sample_car": ("Car, a drawing", "汽车，图画"),
    "words_sample_chelsea": ("Cat, a photo", "猫，照片"),
    "words_drawings": (
        "It learned from emoji and clip art with English and Chinese words: it knows drawings, not photos. For photos "
        "choose one of the Hub here.",
        "它学自 emoji 和剪贴画及其中英文词语：认识图画，不认识照片。照片请在此选择 Hub 上的网络。",
    ),
    "words_drawings_english": (
        "It learned from emoji and clip art with their English names: it knows drawings, not photos, and writes "
        "English. For photos choose one of the Hub here.",
        "它学自 emoji 和剪贴画及其英文名称：认识图画，不认识照片，用英文书写。照片请在此选择 Hub 上的网络。",
    ),
    "words_photos": (
        "It learned from photos and other pictures of the web with English texts.",
        "它学自网络上的照片等图片及其英文文本。",
    ),
    "words_fetched": (
        "Its first use downloads about {size} from the Hub.",
        "首次使用会从 Hub 下载约 {size}。",
    ),
    "words_no_model": (
        "No net for this comes with this version. Choose one of the Hub on the left, or type a Hub id.",
        "此版本未附带用于此处的网络。请在左侧选择 Hub 上的网络，或输入 Hub 编号。",
    ),
    "words_asking": (
        "Asking {title}. The first use fetches, converts and compiles the net, which takes some time.",
        "正在询问 {title}。首次使用需获取、转换并编译网络，需要一些时间。",
    ),
    "words_too_many_pictures": (
        "{n} pictures are too many here, the limit is {most}.",
        "此处最多 {most} 张图片，现有 {n} 张。",
    ),
    # zero-shot
    "zero_shot_labels": ("Labels, one a line", "标签，每行一个"),
    "zero_shot_labels_info": (
        "Any words. The picture is embedded once; only new words are read.",
        "任意词语。图片只嵌入一次，只读取新的词语。",
    ),
    "zero_shot_templates_kind": ("What is made of a label", "标签如何成句"),
    "zero_shot_templates_kind_plain": ("itself", "标签本身"),
    "zero_shot_templates_kind_photo": ("a photo", "照片"),
    "zero_shot_templates_kind_ensemble": ("an ensemble", "集成"),
    "zero_shot_templates": ("Templates, one a line", "模板，每行一个"),
    "zero_shot_templates_info": (
        "{{}} is the label. Of several, each label's embeddings are averaged.",
        "{{}} 为标签。有多个模板时，取每个标签嵌入的平均。",
    ),
    "zero_shot_temperature": ("Temperature τ", "温度 τ"),
    "zero_shot_temperature_info": (
        "Divides the logits: 1 is what the net says.",
        "logits 除以它：1 为网络原本的输出。",
    ),
    "zero_shot_word": ("Heat map of the word", "热图对应的词语"),
    "zero_shot_word_info": ("Or click a bar. Any words may be typed.", "也可点击条形；可输入任意词语。"),
    "zero_shot_word_likeliest": ("the likeliest label", "最可能的标签"),
    "zero_shot_files": ("Pictures of the matrix, instead of the drawings", "矩阵中的图片（代替图画）"),
    "zero_shot_too_many": (
        "Labels by templates make {n} sentences, the limit is {most}: take fewer of either.",
        "标签与模板组合出 {n} 个句子，上限为 {most}：请减少其中之一。",
    ),
    "zero_shot_cost": (
        "Picture embedded once, in {picture}; {n} sentences compared in {texts}, of which only new ones are read.",
        "图片只嵌入一次，用时 {picture}；比较 {n} 个句子用时 {texts}，其中只读取新的句子。",
    ),
    "zero_shot_heat": ("Heat map of “{word}”", "“{word}” 的热图"),
    "zero_shot_heat_alt": (
        "What in the picture speaks for “{word}”, as a heat map over it. The frame is the part that the net is shown.",
        "图片中支持 “{word}” 的部分，以热图叠加。方框为网络所见部分。",
    ),
    "zero_shot_bars": ("The likeliest labels", "最可能的标签"),
    "zero_shot_cosine": ("cos {cosine}", "cos {cosine}"),
    "zero_shot_rest": ("{n} other labels share {percent}.", "其余 {n} 个标签共占 {percent}。"),
    "zero_shot_note": (
        "{choice}, where z = {scale} cos{bias}, cos being the cosine of picture and label, and τ = {temperature}.",
        "{choice}，其中 z = {scale} cos{bias}，cos 为图片与标签的余弦，τ = {temperature}。",
    ),
    "zero_shot_note_heat": (
        "Heat: Grad-CAM of the cosine, {formula}, on the image tower's last map (Selvaraju et al. 2017).",
        "热图：余弦的 Grad-CAM，{formula}，取自图像塔的最后一层特征图（Selvaraju 等，2017）。",
    ),
    "zero_shot_matrix": ("Several pictures by these labels: cosines", "多张图片与这些标签的余弦"),
    "zero_shot_matrix_note": (
        "The first row is your picture. Cells are the fuller the greater the cosine, from the least here to the most.",
        "第一行是你的图片。单元格越深余弦越大，从此处的最小值到最大值。",
    ),
    "zero_shot_matrix_cut": (
        "Of {n} labels the {shown} are shown that come nearest to a picture.",
        "{n} 个标签中只显示与图片最接近的 {shown} 个。",
    ),
    # caption
    "caption_method": ("How words are chosen", "如何选词"),
    "caption_method_greedy": ("greedy", "贪心"),
    "caption_method_beams": ("beams", "束搜索"),
    "caption_method_nucleus": ("nucleus", "核采样"),
    "caption_beams": ("Beams", "束的数量"),
    "caption_beams_info": (
        "So many beginnings are kept; the likeliest whole is shown at the end.",
        "保留这么多个开头；最后显示整体最可能的一个。",
    ),
    "caption_top_p": ("Nucleus p", "核的概率 p"),
    "caption_top_p_info": (
        "Chance chooses among the fewest words that have so much probability together.",
        "从合计达到此概率的最少的词中随机选取。",
    ),
    "caption_seed": ("Seed", "随机种子"),
    "caption_seed_info": ("Another one, another caption.", "换一个种子，得到另一句。"),
    "caption_words": ("The caption's words", "描述中的词"),
    "caption_cut": ("(cut off: no more than {n} tokens are written here)", "（已截断：此处最多写 {n} 个 token）"),
    "caption_attention_alt": (
        "Where the net looked when it wrote “{word}”, as a heat map over the picture",
        "网络写下 “{word}” 时所看之处，以热图叠加在图片上",
    ),
    "caption_note": (
        "Under each word the probability that the net gave it after the words before; over the picture its cross "
        "attention, the mean over the heads of the last layers, three at most, each map from its own least to its "
        "greatest. Attention says where a word took from, not what that did to it.",
        "每个词下方是网络在前文之后给它的概率；图片上是它的交叉注意力，为最后几层（至多三层）各头的平均，每张图从自身最小值到"
        "最大值缩放。注意力说明词从何处取信息，而非其影响。",
    ),
    "caption_loss": ("What the net would pay for its own sentence", "网络为自己的句子付出的损失"),
    "caption_loss_used": (
        "{total} ⁄ {n} = {mean} nats a token, the end among them (w: tokens, i: the picture); the whole sentence has "
        "the probability {sentence}.",
        "{total} ⁄ {n} = 每个 token {mean} nat（含结束符；w 为 token，i 为图片）；整句的概率为 {sentence}。",
    ),
    # a sentence of the visitor's
    "match_sentence": ("Does this sentence fit?", "这句话相符吗？"),
    "match_sentence_info": ("Any words about the picture.", "关于图片的任意话语。"),
    "match_model": ("Judged by", "评判者"),
    "match_no_sentence": ("Type a sentence about the picture.", "请输入一句关于图片的话。"),
    "match_fits": ("It fits with a probability of {percent}.", "相符的概率为 {percent}。"),
    "match_alone": (
        "This net compares, it has no head that judges a single pair; {others} have.",
        "此网络只作比较，没有评判单独一对的头；{others} 有。",
    ),
    "match_chosen": (
        "Of {n} sentences the picture chooses it with {text}; of {n} pictures it chooses this one with {picture}.",
        "在 {n} 句话中，图片以 {text} 选择它；在 {n} 张图片中，它以 {picture} 选择这一张。",
    ),
    "match_losses": ("What the pair would pay", "这一对要付出的损失"),
    "match_contrast": ("contrastive: InfoNCE among {n} pairs", "对比：{n} 对中的 InfoNCE"),
    "match_matching": ("matching: the head that reads both (ITM)", "匹配：同时读两者的头（ITM）"),
    "match_fits_term": ("fits or not", "相符与否"),
    "match_note": (
        "In nats; i is the picture, t the text, 1 that they fit; logits are cosines ⁄ τ at the net's own "
        "τ = {temperature}. The other pairs are sample drawings with their captions. All {n} pairs would pay {loss} on "
        "average.",
        "单位 nat；i 为图片，t 为文本，1 表示相符；logits 为余弦 ⁄ τ，取网络自己的 τ = {temperature}。"
        "其余各对为示例图画及其描述。全部 {n} 对平均为 {loss}。",
    ),
    "match_matrix": ("The batch that it is compared in: cosines", "用于比较的批次：余弦"),
    "match_matrix_note": (
        "First the picture and your sentence; outlined are pairs. Cells are the fuller the greater the cosine.",
        "第一行为图片与你的句子；描边为配对。单元格越深余弦越大。",
    ),
    # the loss of a batch
    "contrast_temperature": ("Temperature τ", "温度 τ"),
    "contrast_temperature_info": (
        "Cosines are divided by it before the softmax. It begins at what the net learned.",
        "softmax 之前余弦除以它，初始为网络学到的值。",
    ),
    "contrast_texts": ("Texts, one a line", "文本，每行一段"),
    "contrast_texts_info": ("In the order of the pictures.", "与图片顺序一致。"),
    "contrast_files": ("Pictures, instead of the six drawings", "图片（代替六张图画）"),
    "contrast_one": (
        "One picture has nothing to be told from: take two or more.",
        "只有一张图片便无从比较：请至少用两张。",
    ),
    "contrast_costs": ("This batch of {n} pairs costs {loss} nats.", "这批 {n} 对的损失为 {loss} nat。"),
    "contrast_chance": (
        "Who cannot tell them apart pays ln {n} = {loss}.",
        "完全无法分辨者付出 ln {n} = {loss}。",
    ),
    "contrast_twice": (
        "Some texts are alike: each counts as wrong for the other's picture.",
        "有些文本相同：对另一方的图片来说都算错误。",
    ),
    "contrast_losses": ("Symmetric loss at τ = {temperature}", "τ = {temperature} 时的对称损失"),
    "contrast_of_texts": ("pictures choose texts", "图片选择文本"),
    "contrast_of_pictures": ("texts choose pictures", "文本选择图片"),
    "contrast_note": (
        "In nats, over N = {n} pairs; c are cosines. τ = {temperature}, and the net learned {learned} (Radford et al. "
        "2021, figure 3).",
        "单位 nat，N = {n} 对；c 为余弦。τ = {temperature}，网络学到的是 {learned}（Radford 等，2021，图 3）。",
    ),
    "contrast_other_loss": (
        "This net learned another one, of each pair by itself (a sigmoid, Zhai et al. 2023).",
        "此网络学的是另一种损失：每一对各自计算（sigmoid，Zhai 等，2023）。",
    ),
    "contrast_cosines": ("Similarity of all pictures and texts: cosines", "所有图片与文本的相似度：余弦"),
    "contrast_rows": ("Rows softmaxed: each picture among the texts", "按行 softmax：每张图片选文本"),
    "contrast_columns": ("Columns softmaxed: each text among the pictures", "按列 softmax：每段文本选图片"),
    "contrast_matrix_note": (
        "Outlined are pairs, whose probability is to become 1; the means of −ln p are the two halves of the loss.",
        "描边为配对，其概率应趋于 1；−ln p 的平均即损失的两半。",
    ),
}
